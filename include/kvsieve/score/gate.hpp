// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A trained gate: a token's own query and key, in a few channels, against learned keys. Fast KVzip (NVIDIA kvpress;
// trained on KVzip's scores, arXiv 2505.23416).
#pragma once
#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/hidden.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/core/tables.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// From the hidden state x_t that enters the layer's attention, with d channels:
///   q[g] = norm(Q_hg x_t + b_hg), k = norm(K_h x_t), norm(y) = y / sqrt(mean of y^2 + 1e-6) times a learned row
///   a[g] = <k, q[g]> / sqrt(d) + c_hg, and against the base keys e[s, g] = <base_hs, q[g]> / sqrt(d)
///   score[t] = mean over the group of exp(a[g]) / (exp(a[g]) + sum over s of exp(e[s, g])), between 0 and 1
/// The first tokens stay, and a window of recent ones that is a share of short prompts and a number for long ones.
/// Reads nothing of the cache; hidden states and weights are the caller's.
struct gate : policy_base<stages::score> {
  using pattern = patterns::per_hidden;  ///< how it walks the hidden states
  static constexpr int most = 64;        ///< channels, and base keys

  /// Its tables.
  struct params {
    cs::span<hidden_rows const> hidden{};  ///< [views]
    int width = 0;                         ///< of a hidden state, a multiple of 16
    int group = 1;                         ///< query heads of a KV head
    int channels = 16;                     ///< d, at most 64
    int base_keys = 16;                    ///< of a head, at most 64
    cs::span<float const> weight{};        ///< [layers, heads * group * d + heads * d, width]: Q_hg, then K_h
    cs::span<float const> bias{};          ///< [layers, heads * group * d]
    cs::span<float const> query_norm{};    ///< [layers, d]
    cs::span<float const> key_norm{};      ///< [layers, d]
    cs::span<float const> base_key{};      ///< [layers, heads, base_keys, d]
    cs::span<float const> offset{};        ///< c [layers, heads, group]
    int sink = 4;                          ///< first tokens that always stay
    int window = 4096;                     ///< recent tokens that always stay, of a long prompt
    double window_share = 0.02;            ///< of the tokens, of one below long_prompt
    int long_prompt = 32000;               ///< tokens from which on `window` counts
    cs::span<int const> layer{};           ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("hidden", self.hidden, "rows", "hidden states of each view");
      visit("width", self.width, "elements", "of a hidden state, a multiple of 16");
      visit("group", self.group, "heads", "query heads of a KV head");
      visit("channels", self.channels, "channels", "of the gate's queries and keys, at most 64");
      visit("base_keys", self.base_keys, "keys", "learned ones of each head, at most 64");
      visit("weight", self.weight, "numbers", "of queries, then of keys, for each layer");
      visit("bias", self.bias, "numbers", "of queries, for each layer");
      visit("query_norm", self.query_norm, "factors", "for each layer and channel");
      visit("key_norm", self.key_norm, "factors", "for each layer and channel");
      visit("base_key", self.base_key, "numbers", "for each layer, head, base key and channel");
      visit("offset", self.offset, "numbers", "for each layer, head and query head of its group");
      visit("sink", self.sink, "tokens", "first tokens that always stay");
      visit("window", self.window, "tokens", "recent ones that always stay, of a long prompt");
      visit("window_share", self.window_share, "fraction", "of the tokens that always stay, of a short prompt");
      visit("long_prompt", self.long_prompt, "tokens", "from which on window counts in place of window_share");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Rows of `weight` in a layer.
    [[nodiscard]] constexpr int rows(int heads) const { return heads * (group + 1) * channels; }
    /// Ok, or what does not fit the call.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      if (status const s = range::all(
              range::multiple("score.width", width, hidden::width_step, 1 << 20),
              range::within("score.group", group, 1, 1024), range::within("score.channels", channels, 1, most),
              range::within("score.base_keys", base_keys, 0, most), range::at_least("score.sink", sink, 0),
              range::at_least("score.window", window, 0), range::within("score.window_share", window_share, 0, 1),
              range::at_least("score.long_prompt", long_prompt, 0), hidden::check_views(hidden, call.views));
          !s)
        return s;
      auto const table = [&](char const* name, cs::span<float const> t, cs::int64_t per_layer) {
        return tables::check(name, t.size(), per_layer, "score.layer", layer, call.views);
      };
      status const s =
          base_keys == 0 ? status{} : table("score.base_key", base_key, cs::int64_t{call.heads} * base_keys * channels);
      return range::all(s, table("score.weight", weight, cs::int64_t{rows(call.heads)} * width),
                        table("score.bias", bias, cs::int64_t{call.heads} * group * channels),
                        table("score.query_norm", query_norm, channels), table("score.key_norm", key_norm, channels),
                        table("score.offset", offset, cs::int64_t{call.heads} * group));
    }
  };

  /// What stays whatever the scores.
  static constexpr forced_ends forced(params const& p, int tokens) {
    if (tokens >= p.long_prompt) return {p.sink, p.window};
    return {p.sink, static_cast<int>(static_cast<double>(tokens) * p.window_share)};
  }
  /// Ok, or what does not fit one view.
  [[nodiscard]] static status check_view(params const& p, int view, int tokens) {
    return hidden::check(p.hidden[static_cast<cs::size_t>(view)], p.width, view, tokens);
  }
  /// Products with a hidden state: d for each query head, then d for each KV head.
  static constexpr int outputs(params const& p, int heads) { return p.rows(heads); }
  /// Their weights [outputs, width] for a view.
  static constexpr float const* weight(params const& p, int view, int heads) {
    return tables::of_view(p.weight, cs::int64_t{p.rows(heads)} * p.width, p.layer, view);
  }
  /// What the first biased() products begin with; the others begin with 0.
  static constexpr float const* bias(params const& p, int view, int heads) {
    return tables::of_view(p.bias, cs::int64_t{heads} * p.group * p.channels, p.layer, view);
  }
  /// Products that have a bias.
  static constexpr int biased(params const& p, int heads) { return heads * p.group * p.channels; }
  /// What score() reads of a view's layer, as the tables of a model that has no other.
  static constexpr params of_layer(params const& p, int view, int heads) {
    auto const table = [&](cs::span<float const> all, cs::int64_t per_layer) {
      return tables::of_layer(all, per_layer, p.layer, view);
    };
    int const d = p.channels;
    params own;
    own.group = p.group;
    own.channels = d;
    own.base_keys = p.base_keys;
    own.query_norm = table(p.query_norm, d);
    own.key_norm = table(p.key_norm, d);
    if (p.base_keys > 0) own.base_key = table(p.base_key, cs::int64_t{heads} * p.base_keys * d);
    own.offset = table(p.offset, cs::int64_t{heads} * p.group);
    return own;
  }
  /// What becomes of a product.
  template <class S>
  KVSIEVE_HD static S activated(S product) {
    return product;
  }
  /// The score of a head from all products: product(i) is the i-th.
  KVSIEVE_CALLS_GIVEN
  template <class S, class Product>
  KVSIEVE_HD static S score(params const& p, int view, int heads, int head, Product const& product) {
    int const d = p.channels;
    auto const of_layer = [&](cs::span<float const> table, cs::int64_t per_layer) {
      return tables::of_view(table, per_layer, p.layer, view);
    };
    S query[most], key[most], against[most];
    normalised(d, of_layer(p.key_norm, d), [&](int i) { return product((heads * p.group + head) * d + i); }, key);
    float const* const offset = of_layer(p.offset, cs::int64_t{heads} * p.group) + head * p.group;
    float const* const base = p.base_keys == 0
                                  ? nullptr
                                  : of_layer(p.base_key, cs::int64_t{heads} * p.base_keys * d) + head * p.base_keys * d;
    S const unit(1.44269504f), scale = unit / sqrt(S(static_cast<float>(d)));
    S sum(0.0f);
    for (int g = 0; g < p.group; ++g) {
      normalised(d, of_layer(p.query_norm, d), [&](int i) { return product((head * p.group + g) * d + i); }, query);
      S own(0.0f);
      for (int i = 0; i < d; ++i) own = fma(key[i], query[i], own);
      own = own * scale + S(offset[g]) * unit;
      S largest = own;
      for (int s = 0; s < p.base_keys; ++s) {
        S dot(0.0f);
        for (int i = 0; i < d; ++i) dot = fma(S(base[s * d + i]), query[i], dot);
        against[s] = dot * scale;
        largest = max(largest, against[s]);
      }
      S const mine = exp2(own - largest);
      S all = mine;
      for (int s = 0; s < p.base_keys; ++s) all += exp2(against[s] - largest);
      // exp2 of NaN is 0, which 0 / 0 makes NaN again unless some base key is not.
      sum += where(own - own == S(0.0f), mine / all, S(__builtin_nanf("")));
    }
    return sum * S(1.0f / static_cast<float>(p.group));
  }

 private:
  KVSIEVE_CALLS_GIVEN
  template <class S, class Product>
  KVSIEVE_HD static void normalised(int d, float const* factor, Product const& product, S* to) {
    S squares(0.0f);
    for (int i = 0; i < d; ++i) {
      to[i] = product(i);
      squares = fma(to[i], to[i], squares);
    }
    S const inverse = S(1.0f) / sqrt(squares * S(1.0f / static_cast<float>(d)) + S(1e-6f));
    for (int i = 0; i < d; ++i) to[i] = to[i] * inverse * S(factor[i]);
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
