// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of the per-row scorers: a summary of all rows where the policy has one, then every row by itself.
// Sums are formed over fixed segments of rows in a fixed order, so they do not depend on the launch.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/tile/row_tile.hpp>
#include <kvsieve/score/row_scores.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Rows that one block scores or sums.
inline constexpr int segment_rows = 512;

/// One view of a per-row launch.
template <class Keys>
struct rows_part {
  static constexpr int head_dim = head_dim_of<Keys>;
  static constexpr int summary_floats = head_dim + 4;  ///< the mean row and its norm, of each head

  Keys keys;       ///< [heads, tokens, D]
  float* score;    ///< [heads] rows of `stride`
  float* partial;  ///< [heads, segments, D], of policies that summarise
  float* summary;  ///< [heads, summary_floats]
  index stride;

  [[nodiscard]] KVSIEVE_HD int tokens() const { return static_cast<int>(keys.extent(1)); }
  [[nodiscard]] KVSIEVE_HD int heads() const { return static_cast<int>(keys.extent(0)); }
};

template <class Keys>
struct rows_args {
  batch<rows_part<Keys>> views;
};

/// First pass of policies that summarise. Block (segment, head, view): what its rows add to the summary.
template <class Score, row_view Keys>
struct sum_rows_body {
  static constexpr int D = head_dim_of<Keys>, width = row_lanes<D>;

  template <block Block>
  struct shared {
    float part[Block::threads / width][D];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, rows_args<Keys> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    int const tokens = view.tokens(), segments = pieces(tokens, segment_rows);
    if (w.x >= segments) return;
    auto const tile = b.template tile<width>();
    constexpr int tiles = Block::threads / width;
    row_slice<D> sum;
    KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) sum.part[i] = splat(0.0f);
    int const first = w.x * segment_rows, last = tokens - first < segment_rows ? tokens : first + segment_rows;
    for (int t = first + tile.index(); t < last; t += tiles) {
      auto const key = row_slice<D>::load(row_of(view.keys, w.y, t), tile.rank());
      fragment squares = splat(0.0f);
      KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) squares = squares + Score::weigh_term(key.part[i]);
      float const share = Score::share(Score::weigh(tile.all_sum(device::sum(squares))));
      if (share == 0.0f) continue;  // a row left out may hold NaN, so it is not multiplied by 0
      KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) sum.part[i] =
          fma(splat(share), key.part[i], sum.part[i]);
    }
    KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) {
      KVSIEVE_UNROLL for (int j = 0; j < fragment::lanes; ++j) {
        s.part[tile.index()][row_slice<D>::channel(tile.rank(), i) + j] = sum.part[i].v[j];
      }
    }
    b.sync();
    float* const out = view.partial + (index{w.y} * segments + w.x) * D;
    for (int d = b.rank(); d < D; d += Block::threads) {
      float total = 0;
      for (int i = 0; i < tiles; ++i) total += s.part[i][d];
      out[d] = total;
    }
  }
};

/// Joins the segments of a head in ascending order. Block (0, head, view): the mean row and its norm.
template <row_view Keys>
struct join_segments_body {
  static constexpr int D = head_dim_of<Keys>;

  template <block Block>
  struct shared {
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, rows_args<Keys> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    int const tokens = view.tokens(), segments = pieces(tokens, segment_rows);
    float const* const partial = view.partial + index{w.y} * segments * D;
    float* const out = view.summary + index{w.y} * view.summary_floats;
    float squares = 0;
    for (int d = b.rank(); d < D; d += Block::threads) {
      float total = 0;
      for (int i = 0; i < segments; ++i) total += partial[index{i} * D + d];
      float const mean = total / static_cast<float>(tokens);
      out[d] = mean;
      squares += mean * mean;
    }
    squares = b.all_sum(squares, s.reduce);
    if (b.rank() == 0) out[D] = sqrt(squares);
  }
};

/// Last pass of a score of keys alone. Block (segment, head, view): the scores of its rows.
template <class Score, row_view Keys>
struct map_rows_body {
  static constexpr int D = head_dim_of<Keys>, width = row_lanes<D>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, rows_args<Keys> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const tokens = view.tokens(), first = w.x * segment_rows;
    if (w.x >= pieces(tokens, segment_rows)) return;
    int const last = tokens - first < segment_rows ? tokens : first + segment_rows;
    auto const tile = b.template tile<width>();
    float* const score = view.score + w.y * view.stride;
    row_slice<D> mean;
    float mean_norm = 0;
    if constexpr (Score::summarises) {
      float const* const summary = view.summary + index{w.y} * view.summary_floats;
      mean = row_slice<D>::load(summary, tile.rank());
      mean_norm = summary[D];
    }
    for (int t = first + tile.index(); t < last; t += Block::threads / width) {
      auto const key = row_slice<D>::load(row_of(view.keys, w.y, t), tile.rank());
      fragment terms = splat(0.0f), squares = splat(0.0f);
      KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) {
        if constexpr (Score::summarises) {
          terms = terms + Score::term(key.part[i], mean.part[i]);
          squares = squares + Score::weigh_term(key.part[i]);
        } else {
          terms = terms + Score::term(key.part[i]);
        }
      }
      float const sum = tile.all_sum(device::sum(terms));
      float result;
      if constexpr (Score::summarises) {
        result = Score::score(sum, Score::weigh(tile.all_sum(device::sum(squares))), mean_norm);
      } else {
        result = Score::score(sum);
      }
      if (tile.rank() == 0) score[t] = result;
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
