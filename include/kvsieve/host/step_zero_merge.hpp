// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Drives evict::zero_merge_step: what the prompt left becomes a state, and each new token changes one slot.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/parts.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/evict/step_checks.hpp>
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/row_math.hpp>
#include <kvsieve/host/row/store_row.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Steps of some views.
template <class Layer, class Fresh>
class zero_merge_steps {
  static constexpr int D = Layer::head_dim;
  static_assert(Fresh::head_dim == D, "kvsieve::step_zero_merge: cache and new token have the same head dimension");
  static_assert(!ragged_rows<typename Layer::keys_type> && !ragged_rows<typename Layer::values_type>,
                "kvsieve::step_zero_merge: heads have as many slots");
  using params = evict::zero_merge_step::params;
  using attention = cs::span<float const>;

 public:
  zero_merge_steps(cs::span<Layer const> layers, cs::span<Fresh const> fresh, cs::span<attention const> seen,
                   params const& p, cs::span<zero_merge_state> states)
      : layers_(layers), fresh_(fresh), seen_(seen), p_(p), states_(states) {}

  template <class Exec>
  [[nodiscard]] status run(Exec const& on) const {
    if (status const s = check::zero_merge_step(layers_, fresh_, seen_, p_, states_); !s) return s;
    index const heads = states_[0].heads;
    on.for_each(static_cast<index>(states_.size()) * heads,
                [&](index r, int) { step(static_cast<std::size_t>(r / heads), static_cast<int>(r % heads)); });
    for (auto& s : states_) {
      if (s.used < s.capacity)
        ++s.used;
      else
        s.turn = (s.turn + 1) % (p_.tail - 1);
    }
    return {};
  }

 private:
  void step(std::size_t v, int h) const {
    auto const& l = layers_[v];
    zero_merge_state const& s = states_[v];
    float *const weight = s.weight(h), *const score = s.score(h);
    float const* const seen = seen_[v].data() + h * score_stride(s.used + 1);
    for (int i = 0; i < s.used; ++i) score[i] = score[i] * p_.decay + seen[i];
    int to = s.used;
    if (s.used == s.capacity) {
      int const ring = s.capacity - (p_.tail - 1), oldest = ring + s.turn;
      int least = p_.residual;
      for (int i = least + 1; i < ring; ++i)
        if (ordered(score[i]) < ordered(score[least])) least = i;
      merge(l, h, least, weight, score);
      move(l.keys, h, oldest, l.keys, least);
      move(l.values, h, oldest, l.values, least);
      weight[least] = weight[oldest];
      score[least] = score[oldest];
      to = oldest;
    }
    move(fresh_[v].keys, h, 0, l.keys, to);
    move(fresh_[v].values, h, 0, l.values, to);
    weight[to] = 1.0f;
    score[to] = seen[s.used];
  }

  void merge(Layer const& l, int h, int i, float* weight, float* score) const {
    alignas(64) float key[D], value[D];
    if (!read(l, h, i, key, value)) return;
    int nearest = -1;
    double best = 0;
    for (int j = 0; j < p_.residual; ++j) {
      alignas(64) float other[D], beside[D];
      if (!read(l, h, j, other, beside)) continue;
      double product = 0, distance = 0;
      for (int d = 0; d < D; ++d) {
        double const x = static_cast<double>(key[d]), y = static_cast<double>(other[d]);
        product += x * y;
        distance += (x - y) * (x - y);
      }
      double const near = p_.by_distance ? -distance : product;
      if (nearest >= 0 && !(near > best)) continue;
      nearest = j;
      best = near;
    }
    if (nearest < 0) {
      store_row(l.keys, h, 0, key);
      store_row(l.values, h, 0, value);
      weight[0] = weight[i];
      score[0] = score[i];
      return;
    }
    alignas(64) float other[D], beside[D];
    (void)read(l, h, nearest, other, beside);
    double const own = static_cast<double>(weight[nearest]), more = static_cast<double>(weight[i]);
    auto const mean = [&](float& x, float y) {
      x = static_cast<float>((own * static_cast<double>(x) + more * static_cast<double>(y)) / (own + more));
    };
    for (int d = 0; d < D; ++d) {
      mean(other[d], key[d]);
      mean(beside[d], value[d]);
    }
    store_row(l.keys, h, nearest, other);
    store_row(l.values, h, nearest, beside);
    weight[nearest] += weight[i];
    bool const larger = ordered(score[nearest]) < ordered(score[i]);
    score[nearest] = p_.sums ? score[nearest] + score[i] : larger ? score[i] : score[nearest];
  }

  // False where a row is not finite.
  static bool read(Layer const& l, int h, int slot, float* key, float* value) {
    read_row(l.keys, h, slot, key);
    read_row(l.values, h, slot, value);
    return finite(square_of(l.keys, h, slot)) && finite(square_of(l.values, h, slot));
  }
  template <class From, class To>
  static void move(From const& from, int h, int token, To const& to, int slot) {
    alignas(64) float row[D];
    read_row(from, h, token, row);
    store_row(to, h, slot, row);
  }

  cs::span<Layer const> layers_;
  cs::span<Fresh const> fresh_;
  cs::span<attention const> seen_;
  params const& p_;
  cs::span<zero_merge_state> states_;
};
}  // namespace host::inline KVSIEVE_TARGET

/// Begins the state of one view behind apply() with evict::zero_merge: weights of its slots and of the kept tokens, and
/// the scores that they have.
/// @param plan      that was applied
/// @param view      which of its views
/// @param layer     what it was applied to
/// @param scores    [Hkv, N], of all tokens: the probabilities of all queries, summed over them and the group
/// @param residual  slots of the result, those of evict::zero_merge
/// @param params    of the steps; the score of a slot is the largest of its tokens', or their sum
/// @param state     memory and capacity, which all rows of the result have to fit; used and turn are set
template <kv_layer_view Layer>
[[nodiscard]] status begin_zero_merge(token_plan const& plan, int view, Layer const& layer,
                                      cs::span<float const> scores, evict::zero_merge::params const& residual,
                                      evict::zero_merge_step::params const& params, zero_merge_state& state) noexcept {
  if (status const s = check::begun_zero_merge(plan, view, layer, scores, residual, params, state); !s) return s;
  int const tokens = plan.tokens(view), rest = tokens - plan.count(view, 0),
            slots = evict::zero_merge::slots(residual, rest), rows = slots + plan.count(view, 0);
  for (int h = 0; h < plan.heads; ++h) {
    auto const of_head = scores.subspan(static_cast<std::size_t>(index{h} * tokens), static_cast<std::size_t>(tokens));
    auto const kept = plan.kept(view, h);
    float *const weight = state.weight(h), *const score = state.score(h);
    int slot = 0, end = evict::zero_merge::begin(rest, slots < 1 ? 1 : slots, 1), seen = 0;
    for (int i = 0; i < slots; ++i) weight[i] = score[i] = 0.0f;
    std::size_t next = 0;
    for (int t = 0; t < tokens; ++t) {
      if (next < kept.size() && kept[next] == t) {
        weight[slots + static_cast<int>(next)] = 1.0f;
        score[slots + static_cast<int>(next++)] = of_head[static_cast<std::size_t>(t)];
        continue;
      }
      if (seen == end) end = evict::zero_merge::begin(rest, slots, ++slot + 1);
      ++seen;
      if (!finite(host::square_of(layer.keys, h, t)) || !finite(host::square_of(layer.values, h, t))) continue;
      float const x = of_head[static_cast<std::size_t>(t)];
      score[slot] = weight[slot] == 0.0f ? x : params.sums ? score[slot] + x : score[slot] < x ? x : score[slot];
      weight[slot] += 1.0f;
    }
    for (int i = 0; i < slots; ++i)
      if (weight[i] == 0.0f) weight[i] = 1.0f;
  }
  state.used = rows;
  state.turn = 0;
  return {};
}

/// A step of ZeroMerge (evict::zero_merge_step), behind the attention of the new token.
/// @param on         where to run
/// @param layers     views whose first state.used rows of each head are the slots, with room for state.capacity;
///                   changed
/// @param fresh      for each view the new token's key and value [Hkv, 1, D]
/// @param attention  for each view [Hkv, score_stride(state.used + 1)], as observed_scores writes it: the probabilities
///                   of the new query over the slots and itself, summed over the group, where the slots' logits had
///                   state.bias(alpha)
/// @param params     its numbers
/// @param states     of each view; changed
/// @returns ok, or what was refused, and then nothing was written
template <host::executor Exec, kv_layer_view Layer, kv_layer_view Fresh>
[[nodiscard]] status step_zero_merge(Exec const& on, cs::span<Layer const> layers, cs::span<Fresh const> fresh,
                                     cs::span<cs::span<float const> const> attention,
                                     evict::zero_merge_step::params const& params,
                                     cs::span<zero_merge_state> states) noexcept {
  return host::zero_merge_steps<Layer, Fresh>(layers, fresh, attention, params, states).run(on);
}
/// The same for one view.
template <host::executor Exec, kv_layer_view Layer, kv_layer_view Fresh>
[[nodiscard]] status step_zero_merge(Exec const& on, Layer const& layer, Fresh const& fresh,
                                     cs::span<float const> attention, evict::zero_merge_step::params const& params,
                                     zero_merge_state& state) noexcept {
  return step_zero_merge(on, cs::span<Layer const>(&layer, 1), cs::span<Fresh const>(&fresh, 1),
                         cs::span<cs::span<float const> const>(&attention, 1), params,
                         cs::span<zero_merge_state>(&state, 1));
}
}  // namespace kvsieve::inline v0
