// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers share by how many of the best scores are theirs.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// DynamicKV (arXiv 2412.14838) without its staging: beside the forced tokens b = n - forced tokens a head stay on
/// average, n = floor(N * keep). One ranking over all layers and heads of a sequence takes as many, and the b of all
/// layers are split in proportion to how many of these lie in each, at most floor(radio_max * b) (and N) in a layer;
/// what lies above goes to the others in proportion. Fractions are cut, and what they leave goes to the layers with the
/// largest ones. All heads of a layer keep the same. The sum over layers is exact.
struct layer_scores : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call

  /// Its numbers.
  struct params {
    double keep = 0.25;     ///< share of the tokens that stay, per head, the mean over layers
    int tokens = -1;        ///< tokens that stay, per head, the mean over layers; -1: as `keep` says
    double radio_max = 10;  ///< a layer keeps at most this many times the mean, forced tokens left out of both
    int layers = 0;         ///< views of a sequence, which follow one another; 0: all of a call
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("radio_max", self.radio_max, "factor", "of the mean, which no layer keeps more than");
      visit("layers", self.layers, "views", "of a sequence, one behind another; 0: all of a call");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::within("budget.radio_max", radio_max, 1, 1e6),
                        counts::check_sequences(layers, call.views));
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }

  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    int const step = counts::layers_of(p.layers, rows.views()), heads = rows.heads();
    auto const mean = [&](int v) { return counts::of_share(p.keep, p.tokens, rows.tokens(v)); };
    auto const forced = [&](int v) { return rows.forced(v, mean(v)).size(); };
    for (int first = 0; first < rows.views(); first += step) {
      cs::int64_t left = 0, total = 0;
      bool fits = true;
      for (int v = first; v < first + step; ++v) {
        left += mean(v) - forced(v);
        total += cs::int64_t{heads} * mean(v);
        fits = fits && forced(v) <= mean(v);
      }
      if (fits) rows.best(first, first + step, total, count);
      auto* const own = count + cs::int64_t{first} * heads;
      auto const most = [&](cs::int64_t i) {
        int const v = first + static_cast<int>(i), b = mean(v) - forced(v), past = rows.tokens(v) - forced(v);
        double const limit = p.radio_max * b;
        return limit < past ? static_cast<cs::int64_t>(limit) : cs::int64_t{past};
      };
      auto const weight = [&](cs::int64_t i) {
        cs::int64_t sum = -cs::int64_t{heads} * forced(first + static_cast<int>(i));
        for (int h = 0; h < heads; ++h) sum += own[i * heads + h];
        return sum > 0 ? sum : 0;  // forced tokens that depend on the count may be fewer in the ranking
      };
      auto* const share = rows.scratch();
      if (fits) counts::apportion(step, left, weight, most, share);
      for (int i = 0; i < step; ++i)
        for (int h = 0; h < heads; ++h)
          own[i * heads + h] = fits ? forced(first + i) + static_cast<int>(share[i]) : mean(first + i);
    }
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
