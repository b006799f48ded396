// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One ranking over all layers of what the heads of a layer score at the same place.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// KVCompose, its structured form (as kvpress has it): the scores of each head are sorted, the largest first, and
/// averaged over the heads of a layer place by place. The first layer's averages are raised to the largest of all
/// layers at that place, and the floor(keep * sum of N) largest of all layers stay, those of the lower layer and then
/// the earlier place where they are equal: a layer keeps as many tokens, in each head, as places of it are among them,
/// its own best ones. Forced tokens come before all places, and are not part of the averages. The sum is exact.
struct composite : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call
  static constexpr bool ranks_places = true;                      ///< needs memory for a second copy of all scores

  /// Its numbers.
  struct params {
    double keep = 0.25;  ///< share of the tokens that stay, per head, the mean over layers
    int tokens = -1;     ///< tokens that stay, per head, the mean over layers; -1: as `keep` says
    int least = 0;       ///< tokens that every layer keeps, forced ones among them; at most the mean and N
    int layers = 0;      ///< views of a sequence, which follow one another; 0: all of a call
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("least", self.least, "tokens", "that every layer keeps");
      visit("layers", self.layers, "views", "of a sequence, one behind another; 0: all of a call");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::at_least("budget.least", least, 0), counts::check_sequences(layers, call.views));
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }

  /// Calls rank(counts::ranking) for each sequence, of tokens a head.
  template <class Rows, class Rank>
  static void rankings(params const& p, Rows const& rows, Rank const& rank) {
    int const step = counts::layers_of(p.layers, rows.views());
    for (int first = 0; first < rows.views(); first += step) {
      cs::int64_t all = 0, limited = 0, least = p.least;
      for (int v = first; v < first + step; ++v) {
        all += rows.tokens(v);
        limited += counts::of_share(p.keep, p.tokens, rows.tokens(v));
        least = rows.tokens(v) < least ? rows.tokens(v) : least;
      }
      auto const total = p.tokens >= 0 ? limited : static_cast<cs::int64_t>(static_cast<double>(all) * p.keep);
      least = total / step < least ? total / step : least;
      rank(counts::ranking{first, first + step, total, static_cast<int>(least)});
    }
  }
  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    rankings(p, rows, [&](counts::ranking const& r) { rows.best_of_curves(r, count); });
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
