// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies over all rows of a head: as they were before their rotation, their means and their second moments.
// Products are made in float and added up in double, in a fixed order.
#pragma once
#include <kvsieve/device/tile/outer_tile.hpp>
#include <kvsieve/device/tile/row_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Rows of a view, as they are stored or turned back.
template <row_view View>
struct turned_rows {
  static constexpr int D = head_dim_of<View>;
  View rows;
  float const* cosine = nullptr;  ///< [positions, D / 2], over the model's factor; null: as they are stored
  float const* sine = nullptr;    ///< the same
  index ahead = 0;                ///< row i stands at position ahead + i of the table
  bool interleaved = false;       ///< pairs are neighbours, not halves of a row

  [[nodiscard]] KVSIEVE_HD float at(index head, index row, int d) const {
    auto const r = row_of(rows, head, row);
    float const x = to_float(r[d]);
    if (cosine == nullptr) return x;
    constexpr int half = D / 2;
    bool const second = interleaved ? d % 2 != 0 : d >= half;
    int const pair = interleaved ? d / 2 : second ? d - half : d;
    float const other = to_float(r[interleaved ? d ^ 1 : second ? d - half : d + half]);
    index const place = (ahead + row) * half + pair;
    return second ? cosine[place] * x - sine[place] * other : cosine[place] * x + sine[place] * other;
  }
};

struct turns_args {
  double const* frequency;  ///< [pairs]
  float *cosine, *sine;     ///< [positions, pairs]
  double first, scale;      ///< position of the first row, and what all is multiplied by
  int positions, pairs;
};
/// Block (as many positions as threads, 0, 0): how rows at these positions are turned.
struct turns_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, turns_args const& a, work w, shared<Block>&) {
    index const first = index{w.x} * Block::threads * a.pairs, end = index{a.positions} * a.pairs;
    auto const scale = static_cast<float>(a.scale);
    for (index i = first + b.rank(); i < first + index{Block::threads} * a.pairs && i < end; i += Block::threads) {
      double const angle = (a.first + static_cast<double>(i / a.pairs)) * a.frequency[i % a.pairs];
      a.cosine[i] = static_cast<float>(::cos(angle)) * scale;
      a.sine[i] = static_cast<float>(::sin(angle)) * scale;
    }
  }
};

/// What the launches over rows are told.
template <row_view View>
struct head_rows_args {
  turned_rows<View> rows;
  float* weight;    ///< [heads] rows of `stride`: of row first + i; 0: it takes no part
  double* partial;  ///< [heads, segments, D + 1]: sums, and how many rows took part
  double* mean;     ///< [heads, D + 1]: their mean, and how many
  double* second;   ///< [heads, D, D]
  index stride;
  int first, last;        ///< rows
  bool centred = false;   ///< moments are about the mean
  bool averaged = false;  ///< moments are divided by the rows that took part
  bool as_well = false;   ///< rows take part that did before, and are usable
  int group = 1;          ///< heads of weights and moments that share a head of rows
};

/// Rows of a segment of such a launch.
inline constexpr int moment_rows = 512;

/// Block (segment, head, 0): weight 1 for its rows that are finite, and whose square is, 0 for the others.
template <row_view View>
struct usable_rows_body {
  static constexpr int D = head_dim_of<View>, width = row_lanes<D>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, head_rows_args<View> const& a, work w, shared<Block>&) {
    auto const tile = b.template tile<width>();
    float* const weight = a.weight + w.y * a.stride;
    int const first = a.first + w.x * moment_rows, last = a.last - first < moment_rows ? a.last : first + moment_rows;
    for (int t = first + tile.index(); t < last; t += Block::threads / width) {
      auto const row = row_slice<D>::load(row_of(a.rows.rows, w.y, t), tile.rank());
      fragment squares = splat(0.0f);
      KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) squares = fma(row.part[i], row.part[i], squares);
      float const sum = tile.all_sum(device::sum(squares));
      if (tile.rank() == 0 && !(a.as_well && finite(sum))) weight[t - a.first] = finite(sum) ? 1.0f : 0.0f;
    }
  }
};

/// Block (segment, head, 0): the sum of its rows.
template <row_view View>
struct sum_of_rows_body {
  static constexpr int D = head_dim_of<View>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, head_rows_args<View> const& a, work w, shared<Block>&) {
    float const* const weight = a.weight + w.y * a.stride;
    int const segments = pieces(a.last - a.first, moment_rows), first = a.first + w.x * moment_rows;
    int const last = a.last - first < moment_rows ? a.last : first + moment_rows;
    double* const out = a.partial + (index{w.y} * segments + w.x) * (D + 1);
    for (int d = b.rank(); d <= D; d += Block::threads) {
      double sum = 0;
      for (int t = first; t < last; ++t)
        if (weight[t - a.first] != 0.0f) sum += d < D ? static_cast<double>(a.rows.at(w.y, t, d)) : 1.0;
      out[d] = sum;
    }
  }
};

/// Block (0, head, 0): joins the segments in ascending order. A mean of no rows is 0.
template <row_view View>
struct mean_of_rows_body {
  static constexpr int D = head_dim_of<View>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, head_rows_args<View> const& a, work w, shared<Block>&) {
    int const segments = pieces(a.last - a.first, moment_rows);
    double const* const partial = a.partial + index{w.y} * segments * (D + 1);
    for (int d = b.rank(); d <= D; d += Block::threads) {
      double sum = 0, used = 0;
      for (int i = 0; i < segments; ++i) {
        sum += partial[index{i} * (D + 1) + d];
        used += partial[index{i} * (D + 1) + D];
      }
      a.mean[index{w.y} * (D + 1) + d] = d == D ? used : used > 0 ? sum / used : 0;
    }
  }
};

/// Block (tile of rows, tile of columns, head): the sums over the rows of the weighed products of two channels.
template <row_view View>
struct moments_body {
  static constexpr int D = head_dim_of<View>;

  template <block Block>
  struct shared {
    outer_tile<Block, true> tile;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, head_rows_args<View> const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const tile = b.template tile<shape::columns>();
    int const first_line = w.x * shape::rows, first_column = w.y * shape::tokens, head = w.z;
    if (first_line >= D || first_column >= D) return;
    float const* const weight = a.weight + head * a.stride;
    double const* const mean = a.mean + index{head} * (D + 1);
    double sum[4][4] = {};
    for (int from = a.first; from < a.last; from += moment_rows) {
      int const rows = a.last - from < moment_rows ? a.last - from : moment_rows;
      auto const moved = [&](int d, int i) {
        if (d >= D) return 0.0f;
        float const own = weight[from + i - a.first];
        if (own == 0.0f) return 0.0f;
        float const x = a.rows.at(head / a.group, from + i, d);
        return (a.centred ? x - static_cast<float>(mean[d]) : x) * sqrt(own);
      };
      float product[4][4] = {};
      s.tile.multiply_add(
          b, rows, [&](int line, int i) { return moved(first_line + line, i); },
          [&](int column, int i) { return moved(first_column + column, i); }, product);
      KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) sum[j][i] += static_cast<double>(product[j][i]);
      }
    }
    double const over = a.averaged ? (mean[D] > 0 ? 1 / mean[D] : 0) : 1;
    double* const second = a.second + index{head} * D * D;
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
        int const line = first_line + tile.index() * 4 + j, column = first_column + tile.rank() * 4 + i;
        if (line < D && column < D) second[index{line} * D + column] = sum[j][i] * over;
      }
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
