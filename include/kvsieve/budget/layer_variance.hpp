// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers share by how evenly their heads spread their attention.
#pragma once
#include <cmath>

#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// D2O (AIoT-MLSys-Lab/D2O), its layers: a head's variance is that of its scores over the tokens, a layer's statistic D
/// the mean of what lies between its heads' least and largest variance, (var - least) / (largest - least + 1e-6). The
/// first `whole_first` and the last `whole_last` layers of the model keep everything; the others together keep
/// floor(keep * sum of their N) tokens a head, in proportion to exp(-D), each at least floor(N / 100) and at most N.
/// Fractions are cut, and what they leave goes to the layers with the largest ones. The sum is exact. (The source has a
/// variance for each query head, here it is that of KV heads; it counts shares of N + 1 at the first step of decoding,
/// and rounds each by itself.)
struct layer_variance : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call

  /// Its numbers.
  struct params {
    double keep = 0.25;           ///< share of the tokens that stay, per head, the mean over layers that are not whole
    int tokens = -1;              ///< tokens that stay, per head, that mean; -1: as `keep` says
    int whole_first = 2;          ///< first layers that keep everything
    int whole_last = 1;           ///< last layers that keep everything
    int layers = 0;               ///< of the model; 0: as many as views
    cs::span<int const> layer{};  ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction",
            "of the tokens that stay, per head, the mean over layers that are not whole");
      visit("tokens", self.tokens, "tokens", "that stay, per head, that mean; -1: as keep says");
      visit("whole_first", self.whole_first, "layers", "at the front that keep everything");
      visit("whole_last", self.whole_last, "layers", "at the end that keep everything");
      visit("layers", self.layers, "layers", "of the model; 0: as many as views");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      status const s = range::all(
          range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
          range::at_least("budget.whole_first", whole_first, 0), range::at_least("budget.whole_last", whole_last, 0),
          counts::check_layers(layer, layers, call.views));
      return s && layer.empty() ? counts::check_sequences(layers, call.views) : s;
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }

  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    int const heads = rows.heads(), layers = counts::layers_of(p.layers, rows.views());
    int const step = p.layer.empty() ? layers : rows.views();
    rows.each_row([&](int v, int h) { rows.numbers()[v * heads + h] = variance(rows.row(v, h), rows.scored(v)); });
    for (int first = 0; first < rows.views(); first += step) {
      auto const whole = [&](int i) {
        int const l = counts::layer_of(p.layer, layers, first + i);
        return l < p.whole_first || l >= layers - p.whole_last;
      };
      cs::int64_t all = 0, limited = 0;
      double least = 0;
      for (int i = 0; i < step; ++i) {
        double* const own = rows.numbers() + cs::int64_t{first + i} * heads;
        own[0] = statistic(own, heads);
        if (whole(i)) continue;
        least = all == 0 || own[0] < least ? own[0] : least;
        all += rows.tokens(first + i);
        limited += counts::of_share(p.keep, p.tokens, rows.tokens(first + i));
      }
      cs::int64_t const total = p.tokens >= 0 ? limited : static_cast<cs::int64_t>(static_cast<double>(all) * p.keep);
      // In units of 2^-30 of the largest share: whole numbers sum exactly.
      auto const weight = [&](cs::int64_t i) {
        double const d = rows.numbers()[(first + i) * heads];
        return whole(static_cast<int>(i)) ? 0 : counts::half_to_even(std::exp(least - d) * 0x1p30);
      };
      auto const most = [&](cs::int64_t i) {
        return cs::int64_t{whole(static_cast<int>(i)) ? 0 : rows.tokens(first + static_cast<int>(i))};
      };
      auto const lower = [&](cs::int64_t i) { return most(i) / 100; };
      auto* const share = rows.scratch();
      counts::apportion(step, total, weight, lower, most, share);
      cs::int64_t sum = 0;
      for (int i = 0; i < step; ++i) sum += share[i];
      if (sum > total) counts::share_equally(step, total, most, share);
      for (int i = 0; i < step; ++i) {
        int const kept = whole(i) ? rows.tokens(first + i) : static_cast<int>(share[i]);
        for (int h = 0; h < heads; ++h) count[(first + i) * heads + h] = kept;
      }
    }
  }

  /// Variance of the finite ones among the first n scores of a head, divided by their number less one; 0 below two.
  static double variance(cs::span<float const> score, int n) {
    double sum = 0, squares = 0;
    int number = 0;
    auto const at = [&](int t) { return static_cast<double>(score[static_cast<cs::size_t>(t)]); };
    for (int t = 0; t < n; ++t)
      if (std::isfinite(at(t))) sum += at(t), ++number;
    if (number < 2) return 0;
    for (int t = 0; t < n; ++t)
      if (std::isfinite(at(t))) squares += (at(t) - sum / number) * (at(t) - sum / number);
    return squares / (number - 1);
  }
  /// A layer's D from the variances of its heads.
  static double statistic(double const* variance, int heads) {
    double least = variance[0], most = variance[0], sum = 0;
    for (int h = 1; h < heads; ++h) {
      least = variance[h] < least ? variance[h] : least;
      most = most < variance[h] ? variance[h] : most;
    }
    for (int h = 0; h < heads; ++h) sum += (variance[h] - least) / (most - least + 1e-6);
    return sum / heads;
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
