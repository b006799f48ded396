// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The same share of every head's tokens.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// floor(N * keep) tokens per head, or `tokens` (at most N) when that is not negative. N * keep is formed in double.
struct uniform : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U1;

  struct params {
    double keep = 0.25;
    int tokens = -1;
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head");
      visit("tokens", self.tokens, "tokens", "that stay, per head; -1: as keep says");
    }
  };

  /// Tokens that a head with `tokens` tokens keeps.
  KVSIEVE_HD static constexpr int count(params const& p, int tokens) {
    if (p.tokens >= 0) return p.tokens < tokens ? p.tokens : tokens;
    return static_cast<int>(static_cast<double>(tokens) * p.keep);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
