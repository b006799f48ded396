// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body that makes the state of ZeroMerge's steps from what the prompt left, and its launch.
#pragma once
#include <kvsieve/device/evict/step_zero_merge.hpp>

namespace kvsieve::inline v0 {
namespace device {

template <class Layer>
struct begin_slots_args {
  typename Layer::keys_type keys;
  typename Layer::values_type values;
  kept_lists kept;
  zero_merge_state state;
  float const* score;  ///< [heads, tokens]
  int tokens, slots;
  bool sums;
};
/// Block (slot, or behind them segment of kept tokens, head, 0): what they stand for, and their scores.
template <class Layer>
struct begin_slots_body {
  template <block Block>
  struct shared {
    typename Block::reduce_storage reduce;
    float sum[Block::threads];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, begin_slots_args<Layer> const& a, work w, shared<Block>& s) {
    int const* const kept = a.kept.of(w.y);
    int const count = a.kept.count(w.y), rest = a.tokens - count;
    float const* const score = a.score + index{w.y} * a.tokens;
    float *const weight = a.state.weight(w.y), *const to = a.state.score(w.y);
    if (w.x >= a.slots) {
      int const first = (w.x - a.slots) * merge_tokens,
                last = count - first < merge_tokens ? count : first + merge_tokens;
      for (int i = first + b.rank(); i < last; i += Block::threads) {
        weight[a.slots + i] = 1.0f;
        to[a.slots + i] = score[kept[i]];
      }
      return;
    }
    int const begin = evict::zero_merge::begin(rest, a.slots, w.x),
              end = evict::zero_merge::begin(rest, a.slots, w.x + 1);
    float own = 0, most = -__builtin_inff(), sum = 0;
    for (int e = begin + b.rank(); e < end; e += Block::threads) {
      int const t = evicted_token(kept, count, e);
      if (!finite_rows<Layer>(a.keys, a.values, w.y, t)) continue;
      float const x = score[t];
      own += 1.0f;
      sum += x;
      most = most < x ? x : most;
    }
    float const all = b.all_sum(own, s.reduce);
    most = b.all_max(most, s.reduce);
    s.sum[b.rank()] = sum;
    b.sync();
    if (b.rank() != 0) return;
    for (int t = 1; t < Block::threads; ++t) sum += s.sum[t];
    weight[w.x] = all > 0 ? all : 1.0f;
    to[w.x] = all > 0 ? (a.sums ? sum : most) : 0.0f;
  }

 private:
  /// The e-th token that is not kept: as many more as kept ones lie before it.
  KVSIEVE_HD static int evicted_token(int const* kept, int count, int e) {
    int from = 0, to = count;
    while (from < to) {
      int const middle = from + (to - from) / 2;
      if (kept[middle] - middle <= e)
        from = middle + 1;
      else
        to = middle;
    }
    return e + from;
  }
};

/// One call of begin_zero_merge.
template <class Launcher, class Layer>
[[nodiscard]] status begin_slots(Launcher const& on, token_plan const& plan, int view, Layer const& layer,
                                 cs::span<float const> scores, evict::zero_merge::params const& residual,
                                 evict::zero_merge_step::params const& params, zero_merge_state& state) {
  static_assert(!is_encoded<typename Layer::keys_type> && !is_encoded<typename Layer::values_type> && walks<Layer>,
                "kvsieve::begin_zero_merge on the device reads rows of elements, by strides or through one table");
  if (status const s = check::begun_zero_merge(plan, view, layer, scores, residual, params, state); !s) return s;
  status s = layer_within_reach(on, layer, "keys", "values", view);
  if (s) s = within_reach(on, scores.data(), "scores", view);
  if (s) s = within_reach(on, state.data, "state", view);
  if (s) s = within_reach(on, plan.list, "plan.list", view);
  if (!s) return s;
  int const kept = plan.count(view, 0), slots = evict::zero_merge::slots(residual, plan.tokens(view) - kept);
  begin_slots_args<Layer> const args{layer.keys,        layer.values, lists_of(plan, view), state, scores.data(),
                                     plan.tokens(view), slots,        params.sums};
  s = on.template launch<begin_slots_body<Layer>>(grid{slots + pieces(kept, merge_tokens), plan.heads, 1}, args);
  if (!s) return s;
  state.used = slots + kept;
  state.turn = 0;
  return {};
}
}  // namespace device
}  // namespace kvsieve::inline v0
