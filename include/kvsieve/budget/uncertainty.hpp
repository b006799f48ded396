// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers share by how many tokens hold most of their mass.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// ZigZagKV (arXiv 2412.09036): a head needs as many of its largest scores as make up `mass` of the sum of its positive
/// ones; u is what the heads of a layer need on average. Of the mean budget b a layer gets `least` * b, and the rest of
/// all layers is split in proportion to u. A layer keeps at least its forced tokens and at most N, and what that gives
/// or takes is shared by the others in the same proportion. Fractions are cut, and what they leave goes to the layers
/// with the largest ones. All heads of a layer keep the same; a sequence keeps floor(keep * sum of N) a head, exactly.
/// (Our definition where the paper's text could not be read: u comes from the scores of KV heads as they are selected
/// from, after smoothing and without the window.)
struct uncertainty : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call

  /// Its numbers.
  struct params {
    double keep = 0.25;  ///< share of the tokens that stay, per head, the mean over layers
    int tokens = -1;     ///< tokens that stay, per head, the mean over layers; -1: as `keep` says
    double mass = 0.9;   ///< share of its scores' sum that a head has to hold
    double least = 0.1;  ///< share of the mean that every layer gets
    int layers = 0;      ///< views of a sequence, which follow one another; 0: all of a call
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("mass", self.mass, "fraction", "of its scores' sum that a head has to hold");
      visit("least", self.least, "fraction", "of the mean, which every layer gets");
      visit("layers", self.layers, "views", "of a sequence, one behind another; 0: all of a call");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::within("budget.mass", mass, 0, 1), range::within("budget.least", least, 0, 1),
                        counts::check_sequences(layers, call.views));
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }

  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    int const step = counts::layers_of(p.layers, rows.views()), heads = rows.heads();
    rows.each_row([&](int v, int h) { count[v * heads + h] = static_cast<int>(rows.mass(v, h, p.mass)); });
    auto* const share = rows.scratch();
    for (int first = 0; first < rows.views(); first += step) {
      cs::int64_t all = 0, limited = 0, needed = 0;
      auto const need = [&](cs::int64_t i) {
        cs::int64_t sum = 0;
        for (int h = 0; h < heads; ++h) sum += count[(first + i) * heads + h];
        return sum;
      };
      auto const tokens = [&](cs::int64_t i) { return cs::int64_t{rows.tokens(first + static_cast<int>(i))}; };
      for (int i = 0; i < step; ++i) {
        all += tokens(i);
        limited += counts::of_share(p.keep, p.tokens, rows.tokens(first + i));
        needed += need(i);
      }
      auto const total = p.tokens >= 0 ? limited : static_cast<cs::int64_t>(static_cast<double>(all) * p.keep);
      // In units of 2^-20 of a mean budget, which `least` is rounded to: whole numbers sum exactly.
      constexpr cs::int64_t one = cs::int64_t{1} << 20;
      auto const equal = counts::half_to_even(p.least * static_cast<double>(one));
      auto const weight = [&](cs::int64_t i) {
        using counts::detail::wide;
        return static_cast<wide>(equal) * static_cast<wide>(needed) +
               static_cast<wide>(one - equal) * static_cast<wide>(step) * static_cast<wide>(need(i));
      };
      auto const forced = [&](cs::int64_t i) {
        return cs::int64_t{rows.forced(first + static_cast<int>(i), static_cast<int>(total / step)).size()};
      };
      counts::apportion(step, total, weight, forced, tokens, share);
      cs::int64_t sum = 0;
      for (int i = 0; i < step; ++i) sum += share[i];
      if (sum > total) counts::share_equally(step, total, tokens, share);  // less than the forced tokens
      for (int i = 0; i < step; ++i)
        for (int h = 0; h < heads; ++h) count[(first + i) * heads + h] = static_cast<int>(share[i]);
    }
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
