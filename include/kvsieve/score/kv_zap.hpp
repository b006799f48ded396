// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KVzap: a small network that learned KVzip's scores says from a token's hidden state what the token is worth. NVIDIA
// kvpress, "KVzap".
#pragma once
#include <kvsieve/core/gelu.hpp>
#include <kvsieve/core/hidden.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/core/tables.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] of KV head h = <w_h, x_t> + c_h, x_t being the hidden state that enters the layer's attention: a natural
/// logarithm, by training. Reads nothing of the cache; hidden states and weights are the caller's. A hidden state that
/// is not finite scores what the arithmetic gives, NaN mostly, and touches no other token.
struct kv_zap_linear : policy_base<stages::score> {
  using pattern = patterns::per_hidden;  ///< how it walks the hidden states

  /// Its tables.
  struct params {
    cs::span<hidden_rows const> hidden{};  ///< [views]
    int width = 0;                         ///< of a hidden state, a multiple of 16
    cs::span<float const> weight{};        ///< [layers, heads, width]
    cs::span<float const> bias{};          ///< [layers, heads]
    cs::span<int const> layer{};           ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("hidden", self.hidden, "rows", "hidden states of each view");
      visit("width", self.width, "elements", "of a hidden state, a multiple of 16");
      visit("weight", self.weight, "numbers", "for each layer, head and element");
      visit("bias", self.bias, "numbers", "for each layer and head");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Ok, or what does not fit the call.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::multiple("score.width", width, hidden::width_step, 1 << 20),
                        hidden::check_views(hidden, call.views),
                        tables::check("score.weight", weight.size(), cs::int64_t{call.heads} * width, "score.layer",
                                      layer, call.views),
                        tables::check("score.bias", bias.size(), call.heads, "score.layer", layer, call.views));
    }
  };

  /// Ok, or what does not fit one view.
  [[nodiscard]] static status check_view(params const& p, int view, int tokens) {
    return hidden::check(p.hidden[static_cast<cs::size_t>(view)], p.width, view, tokens);
  }
  /// Products with a hidden state: one for each head.
  static constexpr int outputs(params const&, int heads) { return heads; }
  /// Their weights [outputs, width] for a view.
  static constexpr float const* weight(params const& p, int view, int heads) {
    return tables::of_view(p.weight, cs::int64_t{heads} * p.width, p.layer, view);
  }
  /// What a product begins with: bias [outputs] of a view.
  static constexpr float const* bias(params const& p, int view, int heads) {
    return tables::of_view(p.bias, heads, p.layer, view);
  }
  /// What score() reads of a view's layer, as the tables of a model that has no other.
  static constexpr params of_layer(params const& /*p*/, int /*view*/, int /*heads*/) { return {}; }
  /// What becomes of a product.
  template <class S>
  KVSIEVE_HD static S activated(S product) {
    return product;
  }
  /// The score of a head from all products: product(i) is the i-th.
  KVSIEVE_CALLS_GIVEN
  template <class S, class Product>
  KVSIEVE_HD static S score(params const&, int /*view*/, int /*heads*/, int head, Product const& product) {
    return product(head);
  }
};

/// The same through a hidden layer: score = <u_h, gelu(W x_t + c)> + d_h, with the GELU of the error function.
struct kv_zap : policy_base<stages::score> {
  using pattern = patterns::per_hidden;  ///< how it walks the hidden states

  /// Its tables.
  struct params {
    cs::span<hidden_rows const> hidden{};  ///< [views]
    int width = 0;                         ///< of a hidden state, a multiple of 16
    int units = 0;                         ///< of the hidden layer
    cs::span<float const> weight{};        ///< W [layers, units, width]
    cs::span<float const> bias{};          ///< c [layers, units]
    cs::span<float const> out_weight{};    ///< u [layers, heads, units]
    cs::span<float const> out_bias{};      ///< d [layers, heads]
    cs::span<int const> layer{};           ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("hidden", self.hidden, "rows", "hidden states of each view");
      visit("width", self.width, "elements", "of a hidden state, a multiple of 16");
      visit("units", self.units, "units", "of the hidden layer");
      visit("weight", self.weight, "numbers", "for each layer, unit and element");
      visit("bias", self.bias, "numbers", "for each layer and unit");
      visit("out_weight", self.out_weight, "numbers", "for each layer, head and unit");
      visit("out_bias", self.out_bias, "numbers", "for each layer and head");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Ok, or what does not fit the call.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      auto const table = [&](char const* name, cs::span<float const> t, cs::int64_t per_layer) {
        return tables::check(name, t.size(), per_layer, "score.layer", layer, call.views);
      };
      return range::all(range::multiple("score.width", width, hidden::width_step, 1 << 20),
                        range::within("score.units", units, 1, 1 << 16), hidden::check_views(hidden, call.views),
                        table("score.weight", weight, cs::int64_t{units} * width), table("score.bias", bias, units),
                        table("score.out_weight", out_weight, cs::int64_t{call.heads} * units),
                        table("score.out_bias", out_bias, call.heads));
    }
  };

  /// Ok, or what does not fit one view.
  [[nodiscard]] static status check_view(params const& p, int view, int tokens) {
    return hidden::check(p.hidden[static_cast<cs::size_t>(view)], p.width, view, tokens);
  }
  /// Products with a hidden state: one for each unit.
  static constexpr int outputs(params const& p, int /*heads*/) { return p.units; }
  /// Their weights [outputs, width] for a view.
  static constexpr float const* weight(params const& p, int view, int /*heads*/) {
    return tables::of_view(p.weight, cs::int64_t{p.units} * p.width, p.layer, view);
  }
  /// What a product begins with: bias [outputs] of a view.
  static constexpr float const* bias(params const& p, int view, int /*heads*/) {
    return tables::of_view(p.bias, p.units, p.layer, view);
  }
  /// What score() reads of a view's layer, as the tables of a model that has no other.
  static constexpr params of_layer(params const& p, int view, int heads) {
    params own;
    own.units = p.units;
    own.out_weight = tables::of_layer(p.out_weight, cs::int64_t{heads} * p.units, p.layer, view);
    own.out_bias = tables::of_layer(p.out_bias, heads, p.layer, view);
    return own;
  }
  /// What becomes of a product.
  KVSIEVE_CALLS_GIVEN
  template <class S>
  KVSIEVE_HD static S activated(S x) {
    return gelu(x);
  }
  /// The score of a head from all units: product(i) is what unit i gives.
  KVSIEVE_CALLS_GIVEN
  template <class S, class Product>
  KVSIEVE_HD static S score(params const& p, int view, int heads, int head, Product const& product) {
    float const* const w = tables::of_view(p.out_weight, cs::int64_t{heads} * p.units, p.layer, view) +
                           static_cast<cs::int64_t>(head) * p.units;
    S sum(tables::of_view(p.out_bias, heads, p.layer, view)[head]);
    for (int i = 0; i < p.units; ++i) sum = fma(S(w[i]), product(i), sum);
    return sum;
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
