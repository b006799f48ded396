// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of evict::zero_merge_step, and their launches: a block for each head, a thread for each channel.
#pragma once
#include <kvsieve/device/call/check.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/evict/merge_rows.hpp>
#include <kvsieve/evict/step_checks.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// True when key and value of a row are finite, as their sums of squares in float are.
template <class Layer>
[[nodiscard]] KVSIEVE_HD bool finite_rows(typename Layer::keys_type const& keys,
                                          typename Layer::values_type const& values, index head, index token) {
  float k = 0, v = 0;
  for (int d = 0; d < Layer::head_dim; ++d) {
    float const x = to_float(keys(head, token, d)), y = to_float(values(head, token, d));
    k = x * x + k;
    v = y * y + v;
  }
  return finite(k) && finite(v);
}

/// One view of a step.
template <class Layer, class Fresh>
struct zero_merge_part {
  typename Layer::keys_type keys;
  typename Layer::values_type values;
  typename Fresh::keys_type fresh_key;
  typename Fresh::values_type fresh_value;
  zero_merge_state state;
  float const* seen;  ///< [heads] rows of `stride`
  index stride;

  [[nodiscard]] KVSIEVE_HD int turn() const { return state.counter != nullptr ? *state.counter : state.turn; }
};
template <class Layer, class Fresh>
struct zero_merge_args {
  batch<zero_merge_part<Layer, Fresh>> views;
  evict::zero_merge_step::params params;
};

/// Block (0, head, view): fades and adds scores, merges a slot into another where all are full, and puts the token in.
template <class Layer, class Fresh>
struct zero_merge_step_body {
  static constexpr int D = Layer::head_dim;
  using part_type = zero_merge_part<Layer, Fresh>;

  template <block Block>
  struct shared {
    int at[Block::threads];
    unsigned key[Block::threads];
    double near[Block::threads];
    int slot;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, zero_merge_args<Layer, Fresh> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    auto const& p = a.params;
    zero_merge_state const& state = view.state;
    float *const weight = state.weight(w.y), *const score = state.score(w.y);
    float const* const seen = view.seen + w.y * view.stride;
    for (int i = b.rank(); i < state.used; i += Block::threads) score[i] = score[i] * p.decay + seen[i];
    b.sync();
    int to = state.used;
    if (state.used == state.capacity) {
      int const ring = state.capacity - (p.tail - 1), oldest = ring + view.turn();
      int const least = lowest(b, score, p.residual, ring, s);
      merge(b, view, p, w.y, least, weight, score, s);
      for (int d = b.rank(); d < D; d += Block::threads) {
        view.keys(w.y, least, d) = view.keys(w.y, oldest, d);
        view.values(w.y, least, d) = view.values(w.y, oldest, d);
      }
      if (b.rank() == 0) {
        weight[least] = weight[oldest];
        score[least] = score[oldest];
      }
      to = oldest;
    }
    // A channel is its thread's, and the numbers of slots the first thread's.
    for (int d = b.rank(); d < D; d += Block::threads) {
      put(view.keys, w.y, to, d, to_float(view.fresh_key(w.y, 0, d)));
      put(view.values, w.y, to, d, to_float(view.fresh_value(w.y, 0, d)));
    }
    if (b.rank() == 0) {
      weight[to] = 1.0f;
      score[to] = seen[state.used];
    }
  }

 private:
  template <class View>
  KVSIEVE_HD static void put(View const& to, index head, index slot, int d, float x) {
    to(head, slot, d) = from_float<element_of<View>>(x);
  }

  /// Of the slots that the threads found, -1 where one found none, that of the thread which goes before all others; of
  /// equal ones the first slot.
  template <block Block, class Before>
  KVSIEVE_HD static int first_of_all(Block& b, int found, shared<Block>& s, Before const& before) {
    s.at[b.rank()] = found;
    b.sync();
    if (b.rank() == 0) {
      int best = 0;
      for (int t = 1; t < Block::threads; ++t) {
        if (s.at[t] < 0) continue;
        if (s.at[best] < 0 || before(t, best) || (!before(best, t) && s.at[t] < s.at[best])) best = t;
      }
      s.slot = s.at[best];
    }
    b.sync();
    return s.slot;
  }

  /// The slot of the lowest score in [first, last); of equal ones the first.
  template <block Block>
  KVSIEVE_HD static int lowest(Block& b, float const* score, int first, int last, shared<Block>& s) {
    int at = -1;
    unsigned key = ~0u;
    for (int i = first + b.rank(); i < last; i += Block::threads) {
      unsigned const own = ordered(score[i]);
      if (at >= 0 && own >= key) continue;
      at = i;
      key = own;
    }
    s.key[b.rank()] = key;
    return first_of_all(b, at, s, [&](int t, int u) { return s.key[t] < s.key[u]; });
  }

  /// The residual slot that is nearest to slot i, -1 where none is finite; of equal ones the first.
  template <block Block>
  KVSIEVE_HD static int nearest(Block& b, part_type const& view, evict::zero_merge_step::params const& p, int head,
                                int i, shared<Block>& s) {
    int at = -1;
    double best = 0;
    for (int j = b.rank(); j < p.residual; j += Block::threads) {
      if (!finite_rows<Layer>(view.keys, view.values, head, j)) continue;
      double product = 0, distance = 0;
      for (int d = 0; d < D; ++d) {
        double const x = static_cast<double>(to_float(view.keys(head, i, d))),
                     y = static_cast<double>(to_float(view.keys(head, j, d)));
        product += x * y;
        distance += (x - y) * (x - y);
      }
      double const near = p.by_distance ? -distance : product;
      if (at >= 0 && !(near > best)) continue;
      at = j;
      best = near;
    }
    s.near[b.rank()] = best;
    return first_of_all(b, at, s, [&](int t, int u) { return s.near[u] < s.near[t]; });
  }

  template <block Block>
  KVSIEVE_HD static void merge(Block& b, part_type const& view, evict::zero_merge_step::params const& p, int head,
                               int i, float* weight, float* score, shared<Block>& s) {
    if (!finite_rows<Layer>(view.keys, view.values, head, i)) return;  // of all threads alike
    int const into = nearest(b, view, p, head, i, s), to = into < 0 ? 0 : into;
    double const own = into < 0 ? 0.0 : static_cast<double>(weight[to]), more = static_cast<double>(weight[i]);
    auto const mean = [&](auto const& rows, int d) {
      double const y = static_cast<double>(to_float(rows(head, i, d)));
      if (into < 0) return static_cast<float>(y);
      double const x = static_cast<double>(to_float(rows(head, to, d)));
      return static_cast<float>((own * x + more * y) / (own + more));
    };
    for (int d = b.rank(); d < D; d += Block::threads) {
      put(view.keys, head, to, d, mean(view.keys, d));
      put(view.values, head, to, d, mean(view.values, d));
    }
    b.sync();  // all have read the weights
    if (b.rank() != 0) return;
    if (into < 0) {
      weight[0] = weight[i];
      score[0] = score[i];
      return;
    }
    weight[to] += weight[i];
    bool const larger = ordered(score[to]) < ordered(score[i]);
    score[to] = p.sums ? score[to] + score[i] : larger ? score[i] : score[to];
  }
};

/// One ring of a launch that moves on.
struct ring_part {
  int* counter;
  int ring;  ///< tail - 1 where all slots are full, or 0
};
struct rings_args {
  batch<ring_part> views;
};
/// Block (0, 0, view): one thread.
struct turn_rings_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, rings_args const& a, work w, shared<Block>&) {
    ring_part const& r = a.views.part[w.z];
    if (b.rank() == 0 && r.counter != nullptr && r.ring > 0) *r.counter = (*r.counter + 1) % r.ring;
  }
};

/// One call of step_zero_merge.
template <class Launcher, class Layer, class Fresh>
class zero_merge_steps {
  using params = evict::zero_merge_step::params;
  using attention = cs::span<float const>;
  static_assert(Fresh::head_dim == Layer::head_dim,
                "kvsieve::step_zero_merge: cache and new token have the same head dimension");
  static_assert(!ragged_rows<typename Layer::keys_type> && !ragged_rows<typename Layer::values_type>,
                "kvsieve::step_zero_merge: heads have as many slots");
  static_assert(!is_encoded<typename Layer::keys_type> && !is_encoded<typename Layer::values_type>,
                "kvsieve::step_zero_merge on the device merges rows of elements: give it those, or step on the host");
  static_assert(walks<Layer> && walks<Fresh>,
                "kvsieve on the device walks rows by strides or through one table of pages");

 public:
  zero_merge_steps(Launcher const& on, cs::span<Layer const> layers, cs::span<Fresh const> fresh,
                   cs::span<attention const> seen, params const& p, cs::span<zero_merge_state> states)
      : on_(on), layers_(layers), fresh_(fresh), seen_(seen), p_(p), states_(states) {}

  [[nodiscard]] status run() const {
    if (status const s = check::zero_merge_step(layers_, fresh_, seen_, p_, states_); !s) return s;
    if (status const s = check_reach(); !s) return s;
    int const views = static_cast<int>(layers_.size());
    zero_merge_args<Layer, Fresh> args{{}, p_};
    bool counts = false;
    status s = launch_views<zero_merge_step_body<Layer, Fresh>>(on_, views, layers_[0].heads(), 1, args,
                                                                [&](int v, zero_merge_part<Layer, Fresh>& part) {
                                                                  auto const i = static_cast<std::size_t>(v);
                                                                  part = {layers_[i].keys,
                                                                          layers_[i].values,
                                                                          fresh_[i].keys,
                                                                          fresh_[i].values,
                                                                          states_[i],
                                                                          seen_[i].data(),
                                                                          score_stride(states_[i].used + 1)};
                                                                  counts = counts || states_[i].counter != nullptr;
                                                                  return 1;
                                                                });
    rings_args rings{};
    if (s && counts)
      s = launch_views<turn_rings_body>(on_, views, 1, 1, rings, [&](int v, ring_part& part) {
        zero_merge_state const& own = states_[static_cast<std::size_t>(v)];
        part = {own.counter, own.used == own.capacity ? p_.tail - 1 : 0};
        return 1;
      });
    if (!s) return s;
    for (auto& own : states_) {
      if (own.used < own.capacity)
        ++own.used;
      else
        own.turn = (own.turn + 1) % (p_.tail - 1);
    }
    return {};
  }

 private:
  [[nodiscard]] status check_reach() const {
    status s;
    for (std::size_t i = 0; s && i < layers_.size(); ++i) {
      int const v = static_cast<int>(i);
      s = layer_within_reach(on_, layers_[i], "keys", "values", v);
      if (s) s = layer_within_reach(on_, fresh_[i], "fresh", "fresh", v);
      if (s) s = within_reach(on_, seen_[i].data(), "attention", v);
      if (s) s = within_reach(on_, states_[i].data, "state", v);
      if (s) s = within_reach(on_, states_[i].counter, "state.counter", v);
    }
    return s;
  }

  Launcher const& on_;
  cs::span<Layer const> layers_;
  cs::span<Fresh const> fresh_;
  cs::span<attention const> seen_;
  params const& p_;
  cs::span<zero_merge_state> states_;
};

}  // namespace device
}  // namespace kvsieve::inline v0
