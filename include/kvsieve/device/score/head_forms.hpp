// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies between the moments of a head and its scores: matrices turned or factored, and a quadratic form of
// every row.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/device/score/head_rows.hpp>
#include <kvsieve/device/tile/sum_of_all.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The mean of a model's rotation, as a table.
struct turn_table {
  double const *cosine, *sine;  ///< [pairs]
  bool interleaved;

  /// Turns the numbers x[0], x[step], ... of a row of D in place, those of one pair.
  KVSIEVE_HD void apply(double* x, index step, int pair, int half) const {
    double& a = x[(interleaved ? 2 * pair : pair) * step];
    double& b = x[(interleaved ? 2 * pair + 1 : pair + half) * step];
    double const turned = cosine[pair] * a - sine[pair] * b;
    b = cosine[pair] * b + sine[pair] * a;
    a = turned;
  }
};

struct turn_moments_args {
  turn_table turn;
  double* mean;         ///< [heads, D + 1]: turned in place
  double* second;       ///< [heads, D, D]: the same; null: the mean alone
  float const* stored;  ///< null, or [heads, D]: means of the caller, in place of `mean`
  float const* spread;  ///< null, or [heads, D, D]: with these covariances
  float* table;         ///< [heads, D, D]: of the form
  float* offset;        ///< [heads, D]
  int head_dim;
  bool uses_spread;
};
/// Block (0, query head, 0): its moments at the positions to come, and the form that they are of a key.
struct turn_moments_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, turn_moments_args const& a, work w, shared<Block>&) {
    int const D = a.head_dim, half = D / 2;
    double* const mean = a.mean + index{w.y} * (D + 1);
    double* const second = a.second + index{w.y} * D * D;
    for (index i = b.rank(); i < index{D} * D; i += Block::threads) {
      if (!a.uses_spread)
        second[i] = 0;
      else if (a.spread != nullptr)
        second[i] = static_cast<double>(a.spread[index{w.y} * D * D + i]);
    }
    if (a.stored != nullptr)
      for (int d = b.rank(); d <= D; d += Block::threads)
        mean[d] = d < D ? static_cast<double>(a.stored[index{w.y} * D + d]) : 1;
    b.sync();
    for (int i = b.rank(); i < half; i += Block::threads) a.turn.apply(mean, 1, i, half);
    for (index i = b.rank(); i < index{D} * half; i += Block::threads)
      a.turn.apply(second + i / half * D, 1, static_cast<int>(i % half), half);
    b.sync();
    for (index i = b.rank(); i < index{D} * half; i += Block::threads)
      a.turn.apply(second + i % D, D, static_cast<int>(i / D), half);
    b.sync();
    for (int d = b.rank(); d < D; d += Block::threads)
      a.offset[index{w.y} * D + d] = static_cast<float>(mean[d] / ::sqrt(static_cast<double>(D)));
    for (index i = b.rank(); i < index{D} * D; i += Block::threads)
      a.table[index{w.y} * D * D + i] = static_cast<float>(second[i] / (2 * D));
  }
};

/// What a launch over the rows of a form is told.
template <row_view View>
struct form_args {
  turned_rows<View> rows;
  float const* usable;   ///< [KV heads] rows of `stride`: of row first + i, 0: it scores NaN
  double const* centre;  ///< [KV heads, D + 1], what rows are moved by; null: nothing
  float const* table;    ///< [heads, size, D]
  float const* offset;   ///< [heads, size], or null
  float* out;            ///< [heads] rows of `stride`, by token
  index stride;
  int size, group, first, last;
};
/// Block (token tile, head, 0): with y = W x + offset, the sum of the squares of y, or where `Bilinear` <x, y>.
template <bool Bilinear, row_view View>
struct form_body {
  static constexpr int D = head_dim_of<View>;

  template <block Block>
  struct shared {
    using shape = tile_shape<Block::threads>;
    outer_tile<Block> tile;
    float sum[shape::lines][shape::tokens];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, form_args<View> const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const tile = b.template tile<shape::columns>();
    int const first = a.first + w.x * shape::tokens, head = w.y / a.group;
    float const* const usable = a.usable + head * a.stride;
    float const* const table = a.table + index{w.y} * a.size * D;
    double const* const centre = a.centre == nullptr ? nullptr : a.centre + index{head} * (D + 1);
    auto const x_at = [&](int token, int d) {
      int const t = first + token;
      if (t >= a.last || usable[t - a.first] == 0.0f) return 0.0f;
      float const x = a.rows.at(head, t, d);
      return centre == nullptr ? x : x - static_cast<float>(centre[d]);
    };
    float sum[4] = {};
    for (int from = 0; from < a.size; from += shape::rows) {
      float y[4][4];
      KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
        int const row = from + tile.index() * 4 + j;
        float const begin = a.offset != nullptr && row < a.size ? a.offset[index{w.y} * a.size + row] : 0.0f;
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) y[j][i] = begin;
      }
      s.tile.multiply_add(
          b, D, [&](int row, int d) { return from + row < a.size ? table[index{from + row} * D + d] : 0.0f; }, x_at, y);
      KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
        int const row = from + tile.index() * 4 + j;
        if (row >= a.size) continue;
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) sum[i] +=
            y[j][i] * (Bilinear ? x_at(tile.rank() * 4 + i, row) : y[j][i]);
      }
    }
    KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) s.sum[tile.index()][tile.rank() * 4 + i] = sum[i];
    b.sync();
    int const own = first + b.rank();
    if (b.rank() >= shape::tokens || own >= a.last) return;
    float all = 0;
    for (int line = 0; line < shape::lines; ++line) all += s.sum[line][b.rank()];
    a.out[w.y * a.stride + own] = usable[own - a.first] == 0.0f ? __builtin_nanf("") : all;
  }
};

struct share_heads_args {
  float const* logit;  ///< [heads * group] rows of `stride`
  double const* mean;  ///< [heads * group, D + 1]: no row took part where the last number is 0
  float* score;        ///< [heads] rows of `score_stride`
  index stride, score_stride;
  int group, head_dim, first, last;
};
/// Block (0, head, 0): the mean over its query heads of the softmax of their logits along the tokens.
struct share_heads_body {
  template <block Block>
  struct shared {
    double part[Block::threads];
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, share_heads_args const& a, work w, shared<Block>& s) {
    float* const score = a.score + w.y * a.score_stride;
    for (int t = b.rank(); t < a.last; t += Block::threads) score[t] = 0;
    for (int g = 0; g < a.group; ++g) {
      index const head = index{w.y} * a.group + g;
      float const* const logit = a.logit + head * a.stride;
      float most = -__builtin_inff();
      for (int t = a.first + b.rank(); t < a.last; t += Block::threads)
        most = finite(logit[t]) && most < logit[t] ? logit[t] : most;
      most = b.all_max(most, s.reduce);
      auto const e = [&](int t) { return finite(logit[t]) ? ::exp2f((logit[t] - most) * 1.44269504f) : 0.0f; };
      double total = 0;
      for (int t = a.first + b.rank(); t < a.last; t += Block::threads) total += static_cast<double>(e(t));
      total = sum_of_all(b, total, s.part);
      bool const known = a.mean[head * (a.head_dim + 1) + a.head_dim] > 0;
      auto const share = static_cast<float>(known && total > 0 ? 1 / (total * a.group) : 0);
      for (int t = a.first + b.rank(); t < a.last; t += Block::threads)
        score[t] = finite(logit[t]) ? score[t] + e(t) * share : __builtin_nanf("");
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
