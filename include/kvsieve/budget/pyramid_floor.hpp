// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Less and less from layer to layer, in whole steps.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// PyramidKV (arXiv 2406.02069) as KVCache-Factory counts, in integers: the window stays in every layer, and before it
/// base = cap - window tokens on average, the last layer's base / beta, each layer a whole step below the one before.
/// Sequences of fewer than cap tokens stay whole; those of fewer than 2 base, and models of one layer, keep cap
/// everywhere. Divisions round down, so the last layer may keep a few more than base / beta.
struct pyramid_floor : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are

  /// Its numbers.
  struct params {
    double keep = 0.25;           ///< cap as a share of the tokens
    int tokens = -1;              ///< cap: tokens that stay, per head, the mean over layers; -1: as `keep` says
    int beta = 20;                ///< the last layer keeps a beta-th of the mean before the window
    int window = 32;              ///< of the score; stays in every layer
    int layers = 0;               ///< of the model; 0: as many as views
    cs::span<int const> layer{};  ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("beta", self.beta, "factor", "the last layer keeps the mean before the window divided by it");
      visit("window", self.window, "tokens", "of the score's window, inside the count");
      visit("layers", self.layers, "layers", "of the model; 0: as many as views");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::within("budget.beta", beta, 1, 1 << 20), range::at_least("budget.window", window, 0),
                        counts::check_layers(layer, layers, call.views));
    }
  };

  /// Tokens that a head keeps.
  static constexpr int count(params const& p, head_shape const& s) {
    cs::int64_t const cap = p.tokens >= 0 ? p.tokens : counts::of_share(p.keep, -1, s.tokens), base = cap - p.window;
    cs::int64_t const past = s.tokens - p.window;
    int const layers = counts::layers_of(p.layers, s.views);
    if (s.tokens < cap) return s.tokens;
    if (s.tokens < 2 * base || base <= 0 || layers < 2) return counts::limited(cap, s.tokens);
    cs::int64_t least = base / p.beta, most = 2 * base - least;
    if (most >= past) {
      most = past;
      least = 2 * base - most;
    }
    cs::int64_t const step = counts::floor_of(most - least, layers - 1);
    return counts::limited(most - counts::layer_of(p.layer, p.layers, s.view) * step + p.window, s.tokens);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
