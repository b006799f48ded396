// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One ranking over all layers and heads.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// The best scores of all views and heads of a sequence together stay: KVzip's pairs (arXiv 2505.23416),
/// Layer-DefensiveKV. A sequence keeps floor(sum over views of heads * N * keep) in double, exactly; forced tokens stay
/// in every head. (KVzip itself drops all that tie with the last one.)
struct over_all : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U3;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call

  /// Its numbers.
  struct params {
    double keep = 0.25;  ///< share of all tokens of all heads that stays
    int tokens = -1;     ///< tokens that stay per head, the mean; -1: as `keep` says
    int layers = 0;      ///< views of a sequence, which follow one another; 0: all of a call
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, over all heads and layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean; -1: as keep says");
      visit("layers", self.layers, "views", "of a sequence, one behind another; 0: all of a call");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        counts::check_sequences(layers, call.views));
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }

  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    int const step = counts::layers_of(p.layers, rows.views());
    for (int first = 0; first < rows.views(); first += step) {
      cs::int64_t all = 0, limited = 0;
      for (int v = first; v < first + step; ++v) {
        all += cs::int64_t{rows.heads()} * rows.tokens(v);
        limited += cs::int64_t{rows.heads()} * counts::of_share(p.keep, p.tokens, rows.tokens(v));
      }
      auto const share = static_cast<cs::int64_t>(static_cast<double>(all) * p.keep);
      rows.best(first, first + step, p.tokens >= 0 ? limited : share, count);
    }
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
