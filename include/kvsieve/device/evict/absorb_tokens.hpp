// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of evict::low_rank_state: features of keys that leave, summed with their values. Sums are formed in
// double for runs of a list by themselves and joined in order, as on the host.
#pragma once
#include <kvsieve/core/tables.hpp>
#include <kvsieve/device/attend/low_rank_features.hpp>
#include <kvsieve/device/evict/merge_rows.hpp>
#include <kvsieve/evict/low_rank_state.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Tokens of a list that a block sums up, and keys that share what is read of the tables.
inline constexpr int absorbed_tokens = 1024, absorbed_together = 8;

/// One view of such a launch.
template <class Layer>
struct absorb_part {
  typename Layer::keys_type keys;
  typename Layer::values_type values;
  int const* list;  ///< [heads] lists of tokens, `stride` apart
  index stride;
  kept_lists kept;     ///< where there is one: the lists are of what it does not keep of `count`
  int count;           ///< tokens of a list, at most
  low_rank_sums sums;  ///< that are added to
  float const *in, *out, *mix, *scale, *mix_scale;  ///< of the view's layer
  double* partial;                                  ///< [heads, segments, rank * (D + 1)]
  int segments;

  [[nodiscard]] KVSIEVE_HD int tokens(int head) const {
    if (kept.list == nullptr) return count;
    int const left = count - kept.count(head);
    return left < 0 ? 0 : left;
  }
};
template <class Layer>
struct absorb_args {
  batch<absorb_part<Layer>> views;
  int rank, units;
};

/// Block (segment of a list, head, view): H, then z, of its tokens.
template <class Layer>
struct absorb_segment_body {
  static constexpr int D = Layer::head_dim, R = absorbed_together;
  template <block Block>
  struct shared {
    row_features<D, R, Block> rows;
    float psi[R][low_rank::most_rank];
    int usable[R];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, absorb_args<Layer> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    int const begin = w.x * absorbed_tokens, all = view.tokens(w.y);
    if (begin >= all) return;
    int const end = all - begin < absorbed_tokens ? all : begin + absorbed_tokens, rank = a.rank;
    int const size = rank * (D + 1);
    int const* const list = view.list + w.y * view.stride;
    double* const to = view.partial + (index{w.y} * view.segments + w.x) * size;
    for (int i = b.rank(); i < size; i += Block::threads) to[i] = 0;
    for (int t = begin; t < end; t += R) {
      int const here = end - t < R ? end - t : R;
      for (int i = b.rank(); i < R * D; i += Block::threads)
        s.rows.x[i / D][i % D] = to_float(view.keys(w.y, list[t + (i / D < here ? i / D : 0)], i % D));
      find_features(b, s.rows, view.in + index{w.y} * D * a.units, view.out + index{w.y} * a.units * rank, a.units,
                    rank);
      find_psi(b, view, w.y, rank, s);
      find_usable(b, view, w.y, list + t, here, rank, s);
      for (int i = b.rank(); i < size; i += Block::threads) {
        int const c = i < rank * D ? i / D : i - rank * D;
        double sum = to[i];
        for (int r = 0; r < here; ++r) {
          if (s.usable[r] == 0) continue;
          double const weight = static_cast<double>(s.psi[r][c]);
          sum += i < rank * D ? weight * static_cast<double>(to_float(view.values(w.y, list[t + r], i % D))) : weight;
        }
        to[i] = sum;
      }
      b.sync();
    }
  }

 private:
  /// psi = |b + d2 (b Wi)|, b = |d1| y.
  template <block Block>
  KVSIEVE_HD static void find_psi(Block& b, absorb_part<Layer> const& view, int head, int rank, shared<Block>& s) {
    float const *const scale = view.scale + index{head} * rank, *const mix_scale = view.mix_scale + index{head} * rank,
                       *const mix = view.mix + index{head} * rank * rank;
    for (int i = b.rank(); i < R * rank; i += Block::threads) s.rows.y[i / rank][i % rank] *= ::fabsf(scale[i % rank]);
    b.sync();
    for (int i = b.rank(); i < R * rank; i += Block::threads) {
      int const r = i / rank, c = i % rank;
      float mixed = 0;
      for (int j = 0; j < rank; ++j) mixed += s.rows.y[r][j] * mix[j * rank + c];
      s.psi[r][c] = ::fabsf(s.rows.y[r][c] + mix_scale[c] * mixed);
    }
    b.sync();
  }
  /// Whether keys, values and features are finite.
  template <block Block>
  KVSIEVE_HD static void find_usable(Block& b, absorb_part<Layer> const& view, int head, int const* list, int here,
                                     int rank, shared<Block>& s) {
    auto const tile = b.template tile<merge_lanes>();
    for (int r = tile.index(); r < here; r += Block::threads / merge_lanes) {
      float key = 0, value = 0, feature = 0;
      for (int d = tile.rank(); d < D; d += merge_lanes) {
        float const x = s.rows.x[r][d], y = to_float(view.values(head, list[r], d));
        key = x * x + key;
        value = y * y + value;
      }
      // Of what is not finite the difference to itself is NaN.
      for (int c = tile.rank(); c < rank; c += merge_lanes) feature += s.psi[r][c] - s.psi[r][c];
      key = tile.all_sum(key);
      value = tile.all_sum(value);
      feature = tile.all_sum(feature);
      if (tile.rank() == 0) s.usable[r] = finite(key) && finite(value) && feature == 0.0f ? 1 : 0;
    }
    b.sync();
  }
};

/// Block (segment of numbers, head, view): adds the segments up, in their order, to what the sums are.
template <class Layer>
struct join_absorbed_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, absorb_args<Layer> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const of_rows = a.rank * Layer::head_dim, size = of_rows + a.rank, i = w.x * Block::threads + b.rank();
    int const segments = pieces(view.tokens(w.y), absorbed_tokens);
    if (i >= size || segments == 0) return;
    float* const to = i < of_rows ? view.sums.row(w.y, 0) + i : view.sums.mass(w.y) + (i - of_rows);
    double const* const from = view.partial + index{w.y} * view.segments * size + i;
    double sum = static_cast<double>(*to);
    for (int t = 0; t < segments; ++t) sum += from[index{t} * size];
    *to = static_cast<float>(sum);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
