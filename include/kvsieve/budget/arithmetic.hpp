// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// An arithmetic progression over groups of layers.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// WindowKV (arXiv 2503.17922): `group` layers at a time keep the same, the last group cap * group / beta tokens, the
/// first one 2 cap less that, and those between a whole step less than the group before. Divisions round down. One
/// group keeps cap. At most N tokens stay; what a layer has too few tokens for is not given to others.
struct arithmetic : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are

  /// Its numbers.
  struct params {
    double keep = 0.25;           ///< cap as a share of the tokens
    int tokens = -1;              ///< cap: tokens that stay, per head, the mean over layers; -1: as `keep` says
    int beta = 14;                ///< the last group keeps group / beta of the mean
    int group = 8;                ///< layers that keep the same
    int layers = 0;               ///< of the model; 0: as many as views
    cs::span<int const> layer{};  ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay, per head, the mean over layers");
      visit("tokens", self.tokens, "tokens", "that stay, per head, the mean over layers; -1: as keep says");
      visit("beta", self.beta, "factor", "the last group keeps group / beta of the mean");
      visit("group", self.group, "layers", "that keep the same");
      visit("layers", self.layers, "layers", "of the model; 0: as many as views");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    // A beta below half a group would take more from the first group than it has.
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      int const least_beta = (group + 1) / 2;
      return range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                        range::within("budget.group", group, 1, 1 << 20),
                        range::within("budget.beta", beta, least_beta, 1 << 20),
                        counts::check_layers(layer, layers, call.views));
    }
  };

  /// Tokens that a head keeps.
  static constexpr int count(params const& p, head_shape const& s) {
    cs::int64_t const cap = p.tokens >= 0 ? p.tokens : counts::of_share(p.keep, -1, s.tokens);
    int const layers = counts::layers_of(p.layers, s.views), groups = (layers + p.group - 1) / p.group;
    if (groups < 2) return counts::limited(cap, s.tokens);
    cs::int64_t const last = cap * p.group / p.beta, first = 2 * cap - last;
    int const at = counts::layer_of(p.layer, p.layers, s.view) / p.group;
    if (at == groups - 1) return counts::limited(last, s.tokens);
    return counts::limited(first - at * counts::floor_of(first - last, groups - 1), s.tokens);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
