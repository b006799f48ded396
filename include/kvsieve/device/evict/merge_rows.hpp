// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the kernels of merging share: the tokens that a plan does not keep, sums over the channels of rows in the order
// of a host whose fragments hold eight floats, and scores as masses.
#pragma once
#include <cmath>

#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/block.hpp>
#include <kvsieve/device/call/open_plan.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Where the kernels of merging work, of one view: rows of `tokens` entries for each head.
struct merge_memory {
  int* evicted = nullptr;         ///< [heads, tokens]: ascending, tokens - kept of them
  float* key_square = nullptr;    ///< [heads, tokens]: sums of squares
  float* value_square = nullptr;  ///< [heads, tokens]
  float* link = nullptr;          ///< [heads, tokens]: cosine of a key and the one before
  int* target = nullptr;          ///< [heads, tokens], by evicted token: which kept one, -1 for none
  float* similarity = nullptr;    ///< [heads, tokens], by evicted token
  int* source = nullptr;          ///< [heads, tokens]: evicted tokens by target
  unsigned* end = nullptr;        ///< [heads, tokens + 1]: where those of a kept token end in `source`
  float* least = nullptr;         ///< [heads]: least similarity that is merged
  float* largest = nullptr;       ///< [heads]: largest mass
};
/// One view of such a launch.
template <class Layer>
struct merge_part {
  typename Layer::keys_type keys;      ///< [heads, tokens, D]
  typename Layer::values_type values;  ///< [heads, tokens, D]
  kept_lists kept;
  float const* score;  ///< [heads] rows of `stride`
  index stride;
  index row;  ///< of the call: that of the first head
  int heads, tokens;
  merge_memory memory;

  [[nodiscard]] KVSIEVE_HD index at(int head) const { return index{head} * tokens; }
  [[nodiscard]] KVSIEVE_HD int evicted(int head) const { return tokens - kept.count(head); }
  [[nodiscard]] KVSIEVE_HD float const* scores(int head) const { return score + head * stride; }
};
/// Parameters of a launch over parts: the numbers of a policy, or none.
template <class Part, class Params = no_params>
struct merge_args {
  batch<Part> views;
  Params params;
};

/// Threads that share a row: each has every eighth channel.
inline constexpr int merge_lanes = 8;
/// Tokens of a block that works on tokens one by one.
inline constexpr int merge_tokens = 512;

/// A score as a mass: that of a forced token is the largest, what is not above 0 has none.
[[nodiscard]] KVSIEVE_HD inline float mass(float score, float largest) {
  if (score == __builtin_inff()) return largest;
  return score > 0 ? score : 0.0f;
}
/// The largest finite score of `tokens` that is above 0; 0 where there is none. Every thread gets it.
template <block Block>
[[nodiscard]] KVSIEVE_HD float largest_mass_of(Block& b, float const* score, int tokens,
                                               typename Block::reduce_storage& reduce) {
  float most = 0;
  for (int t = b.rank(); t < tokens; t += Block::threads)
    if (finite(score[t]) && most < score[t]) most = score[t];
  return b.all_max(most, reduce);
}
/// The squared distance of two rows of a head; every thread of the tile gets it.
template <class Tile, row_view View>
[[nodiscard]] KVSIEVE_HD float distance_square(Tile const& tile, View const& view, index head, index a, index c) {
  float s = 0;
  for (int d = tile.rank(); d < head_dim_of<View>; d += merge_lanes) {
    float const difference = to_float(view(head, a, d)) - to_float(view(head, c, d));
    s = difference * difference + s;
  }
  return tile.all_sum(s);
}

/// Block (segment of tokens, head, view): lists the tokens that are not kept.
template <class Layer>
struct list_evicted_body {
  using args = merge_args<merge_part<Layer>>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const* const kept = view.kept.of(w.y);
    int const count = view.kept.count(w.y), first = w.x * merge_tokens;
    int const last = view.tokens - first < merge_tokens ? view.tokens : first + merge_tokens;
    int* const to = view.memory.evicted + view.at(w.y);
    for (int t = first + b.rank(); t < last; t += Block::threads) {
      int const before = count_below(kept, count, t);
      if (before == count || kept[before] != t) to[t - before] = t;
    }
  }
};

/// Block (segment of tokens, head, 2 view + (0: keys, 1: values)): sums of squares of all rows.
template <class Layer>
struct square_rows_body {
  using args = merge_args<merge_part<Layer>>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z / 2];
    if (w.z % 2 == 0)
      sum(b, view.keys, w, view.tokens, view.memory.key_square);
    else
      sum(b, view.values, w, view.tokens, view.memory.value_square);
  }

 private:
  template <block Block, row_view View>
  KVSIEVE_HD static void sum(Block& b, View const& rows, work w, int tokens, float* to) {
    if (to == nullptr) return;
    auto const tile = b.template tile<merge_lanes>();
    int const first = w.x * merge_tokens, last = tokens - first < merge_tokens ? tokens : first + merge_tokens;
    for (int t = first + tile.index(); t < last; t += Block::threads / merge_lanes) {
      float s = 0;
      for (int d = tile.rank(); d < head_dim_of<View>; d += merge_lanes) {
        float const x = to_float(rows(w.y, t, d));
        s = x * x + s;
      }
      s = tile.all_sum(s);
      if (tile.rank() == 0) to[index{w.y} * tokens + t] = s;
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
