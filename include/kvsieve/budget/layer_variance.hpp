// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers share by how evenly their heads spread their attention.
#pragma once
#include <cmath>

#include <kvsieve/core/counts.hpp>
#include <kvsieve/core/power.hpp>
#include <kvsieve/core/scalar.hpp>

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
  static constexpr bool measures = true;                          ///< a number of each head tells its counts

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

  /// Views of a sequence, out of a call's.
  static constexpr int step(params const& p, int views) {
    return p.layer.empty() ? counts::layers_of(p.layers, views) : views;
  }
  /// True where a view of a call of `views` keeps everything.
  static constexpr bool whole(params const& p, int views, int view) {
    int const layers = counts::layers_of(p.layers, views), l = counts::layer_of(p.layer, layers, view);
    return l < p.whole_first || l >= layers - p.whole_last;
  }
  /// Forced tokens are not counted.
  template <class Rows>
  static constexpr int asked(params const&, Rows const&, int /*view*/) {
    return 0;
  }
  /// Variance of the finite scores of a head, divided by their number less one; 0 below two.
  KVSIEVE_CALLS_GIVEN
  template <class Row>
  KVSIEVE_HD static double measure(params const&, Row const& row) {
    int const n = row.scored;
    double const number = row.sum(n, [&row](double sum, int t) { return finite(row[t]) ? sum + 1 : sum; });
    if (number < 2) return 0;
    double const all =
        row.sum(n, [&row](double sum, int t) { return finite(row[t]) ? sum + static_cast<double>(row[t]) : sum; });
    double const mean = all / number;
    // Fused by name, or some compilers would and others not.
    double const squares = row.sum(n, [&row, mean](double sum, int t) {
      double const off = static_cast<double>(row[t]) - mean;
      return finite(row[t]) ? ::fma(off, off, sum) : sum;
    });
    return squares / (number - 1);
  }
  /// The counts of a sequence.
  KVSIEVE_HD static void split(params const& p, counts::sequence const& s) {
    cs::int64_t all = 0, limited = 0;
    double least = 0;
    for (int i = 0; i < s.views; ++i) {
      double* const own = s.number + cs::int64_t{i} * s.heads;
      own[0] = statistic(own, s.heads);
      if (s.view[i].whole) continue;
      least = all == 0 || own[0] < least ? own[0] : least;
      all += s.view[i].tokens;
      limited += counts::of_share(p.keep, p.tokens, s.view[i].tokens);
    }
    cs::int64_t const total = p.tokens >= 0 ? limited : static_cast<cs::int64_t>(static_cast<double>(all) * p.keep);
    // In units of 2^-30 of the largest share: whole numbers sum exactly.
    for (int i = 0; i < s.views; ++i) {
      double& own = s.number[cs::int64_t{i} * s.heads];
      own = s.view[i].whole ? 0 : static_cast<double>(counts::half_to_even(natural_exp(least - own) * 0x1p30));
    }
    auto const weight = [&](cs::int64_t i) { return static_cast<cs::int64_t>(s.number[i * s.heads]); };
    auto const most = [&](cs::int64_t i) { return cs::int64_t{s.view[i].whole ? 0 : s.view[i].tokens}; };
    auto const lower = [&](cs::int64_t i) { return most(i) / 100; };
    counts::apportion(s.views, total, weight, lower, most, s.share);
    cs::int64_t sum = 0;
    for (int i = 0; i < s.views; ++i) sum += s.share[i];
    if (sum > total) counts::share_equally(s.views, total, most, s.share);
    for (int i = 0; i < s.views; ++i) s.keep(i, s.view[i].whole ? s.view[i].tokens : s.share[i]);
  }
  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    rows.template split_measured<layer_variance>(p, count);
  }

  /// A layer's D from the variances of its heads.
  KVSIEVE_HD static double statistic(double const* variance, int heads) {
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
