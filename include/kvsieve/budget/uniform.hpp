// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The same share of every head's tokens.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rules.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// floor(N * keep) tokens per head, or `tokens` (at most N) when that is not negative. N * keep is formed in double.
struct uniform : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U1;  ///< how alike its counts are

  /// Its numbers.
  struct params {
    double keep = 0.25;  ///< share of the tokens that stay, per head
    int tokens = -1;     ///< tokens that stay, per head; -1: as `keep` says
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head");
      visit("tokens", self.tokens, "tokens", "that stay, per head; -1: as keep says");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1));
    }
  };

  /// What stays of each piece of a row: its exact share; negative: as many as count() is of the row's tokens.
  static constexpr double share(params const& p) { return p.tokens >= 0 ? -1 : p.keep; }

  /// Tokens that a head keeps.
  static constexpr int count(params const& p, head_shape const& s) {
    if (p.tokens >= 0) return p.tokens < s.tokens ? p.tokens : s.tokens;
    return static_cast<int>(static_cast<double>(s.tokens) * p.keep);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
