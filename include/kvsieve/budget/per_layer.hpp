// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A share or a count for each layer.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// What a list says: floor(N * keep[l]) tokens, or tokens[l] (at most N), for each head of layer l. kvpress's
/// PerLayerCompression, and whatever else was found for a model beforehand.
struct per_layer : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are

  /// Its numbers; one of `keep` and `tokens` is given.
  struct params {
    cs::span<double const> keep{};  ///< [layers]: share of the tokens that stay, per head; the caller's memory
    cs::span<int const> tokens{};   ///< [layers]: tokens that stay, per head; the caller's memory
    cs::span<int const> layer{};    ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fractions", "of the tokens that stay, per head, for each layer");
      visit("tokens", self.tokens, "counts", "of tokens that stay, per head, for each layer");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Layers that the lists have.
    [[nodiscard]] constexpr int layers() const {
      return static_cast<int>(tokens.empty() ? keep.size() : tokens.size());
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      if (!keep.empty() && !tokens.empty())
        return fail(errc::bad_params, "budget.keep", static_cast<double>(keep.size()),
                    "entries; it must be empty where budget.tokens has", static_cast<double>(tokens.size()));
      status s = range::at_least("budget.keep or budget.tokens", layers(), 1);
      if (s && layer.empty() && call.views % layers() != 0)
        s = range::entries("budget.keep or budget.tokens", layers(), call.views);
      s = range::all(s, counts::check_layers(layer, layers(), call.views));
      for (cs::size_t i = 0; s && i < keep.size(); ++i) s = range::within("budget.keep", keep[i], 0, 1);
      for (cs::size_t i = 0; s && i < tokens.size(); ++i) s = range::at_least("budget.tokens", tokens[i], 0);
      return s;
    }
  };

  /// Tokens that a head keeps.
  static constexpr int count(params const& p, head_shape const& s) {
    auto const l = static_cast<cs::size_t>(counts::layer_of(p.layer, p.layers(), s.view));
    return p.tokens.empty() ? counts::of_share(p.keep[l], -1, s.tokens) : counts::of_share(0, p.tokens[l], s.tokens);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
