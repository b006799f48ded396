// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One ranking over the heads of a layer, with a floor for each head.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// AdaKV (arXiv 2407.11550) as kvpress has it: a head keeps its best floor(n * safeguard) tokens, n = floor(N * keep),
/// and the best of all others of the layer's heads together make it heads * n in each layer, exactly. Forced tokens are
/// the best of their head.
struct over_heads : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U3;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call
  static constexpr bool ranks = true;                             ///< its counts are rankings

  /// Its numbers.
  struct params {
    double keep = 0.25;      ///< share of the tokens that stay, over the heads of a layer
    int tokens = -1;         ///< tokens that stay, the mean over the heads of a layer; -1: as `keep` says
    double safeguard = 0.2;  ///< share of the mean that each head keeps whatever the others score
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, over the heads of a layer");
      visit("tokens", self.tokens, "tokens", "that stay, the mean over the heads of a layer; -1: as keep says");
      visit("safeguard", self.safeguard, "fraction", "of the mean, which every head keeps");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::within("budget.safeguard", safeguard, 0, 1));
    }
  };

  /// Tokens that the heads of a view keep together.
  static constexpr cs::int64_t room(params const& p, int heads, int tokens) {
    return cs::int64_t{heads} * counts::of_share(p.keep, p.tokens, tokens);
  }

  /// Calls rank(counts::ranking) for each view.
  template <class Rows, class Rank>
  static void rankings(params const& p, Rows const& rows, Rank const& rank) {
    for (int v = 0; v < rows.views(); ++v) {
      int const mean = counts::of_share(p.keep, p.tokens, rows.tokens(v));
      int const least = counts::of_share(p.safeguard, -1, mean);
      rank(counts::ranking{v, v + 1, room(p, rows.heads(), rows.tokens(v)), least});
    }
  }
  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    rankings(p, rows, [&](counts::ranking const& r) { rows.best(r, count); });
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
