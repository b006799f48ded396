// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Less and less from layer to layer.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// PyramidKV (arXiv 2406.02069) as kvpress counts: on a straight line from the first layer's tokens to the last one's,
/// T = N * keep of them on average, the least T / beta. Where the first layer would take all before the window, the
/// last one takes the rest. All layers get T where the line leaves [window, N], and where there is one layer only.
/// Rounds half to even.
struct pyramid : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are

  /// Its numbers.
  struct params {
    double keep = 0.25;           ///< share of the tokens that stay, per head, the mean over layers
    int tokens = -1;              ///< tokens that stay, per head, the mean over layers; -1: as `keep` says
    double beta = 20;             ///< the last layer keeps a beta-th of the mean
    int window = 64;              ///< of the score: no layer keeps fewer
    int layers = 0;               ///< of the model; 0: as many as views
    cs::span<int const> layer{};  ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("beta", self.beta, "factor", "the last layer keeps the mean divided by it");
      visit("window", self.window, "tokens", "of the score's window; no layer keeps fewer");
      visit("layers", self.layers, "layers", "of the model; 0: as many as views");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::within("budget.beta", beta, 1, 1e6), range::at_least("budget.window", window, 0),
                        counts::check_layers(layer, layers, call.views));
    }
  };

  /// Tokens that a head keeps.
  static constexpr int count(params const& p, head_shape const& s) {
    double const n = s.tokens, past = s.tokens - p.window, floor = p.window;
    double const mean = p.tokens >= 0 ? counts::of_share(p.keep, p.tokens, s.tokens) : n * p.keep;
    int const layers = counts::layers_of(p.layers, s.views);
    double least = mean / p.beta, most = 2 * mean - least;
    if (most >= past) {
      most = past;
      least = 2 * mean - most;
    }
    double kept = mean;
    if (layers > 1 && n >= most && most >= least && least >= floor)
      kept = most - counts::product(counts::layer_of(p.layer, p.layers, s.view), (most - least) / (layers - 1));
    return counts::limited(counts::half_to_even(kept), s.tokens);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
