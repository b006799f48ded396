// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of the log-sum-exp of observed queries: over segments of the keys, and the join of these. Scratch is
// one number for each query and two for each query and segment.
#pragma once
#include <cmath>

#include <kvsieve/device/score/observed_queries.hpp>
#include <kvsieve/device/tile/product_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Block (row tile + row tiles * segment, head, view): a part of the log-sum-exp of its rows. Where probabilities are
/// pooled along the tokens also, of the tokens that pools meet, the sum and what all pools together have of it.
template <row_view Queries, row_view Keys, int Floats>
struct sum_exponentials_body {
  static constexpr bool pools = Floats > 2;

  template <block Block>
  struct shared {
    tile_of_logits<Block, Queries, Keys> tile;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, queries_args<Queries, Keys> const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const& view = a.views.part[w.z];
    int const rows = view.rows(), row_tiles = pieces(rows, shape::rows), segment = w.x / row_tiles;
    if (segment >= view.segments) return;
    int const first_row = w.x % row_tiles * shape::rows;
    int const last_row = rows - first_row < shape::rows ? rows : first_row + shape::rows;
    int const begin = segment * view.segment_tokens;
    int const end_of_segment =
        view.tokens() - begin < view.segment_tokens ? view.tokens() : begin + view.segment_tokens;
    int const seen = view.last_seen(first_row, last_row) + 1, end = seen < end_of_segment ? seen : end_of_segment;
    auto const tile = b.template tile<shape::columns>();

    float largest[4], sum[4][Floats - 1];
    bool passed_over[4] = {};
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      largest[j] = -__builtin_inff();
      KVSIEVE_UNROLL for (int k = 0; k < Floats - 1; ++k) sum[j][k] = 0;
    }
    s.tile.reset(b);
    int parity = 0;
    for (int first = begin; first < end; first += shape::tokens) {
      if (view.restricted && !view.sees_some(first_row, last_row, first, first + shape::tokens)) continue;
      float logit[4][4];
      s.tile.compute(b, view, w.y, first_row, last_row, first, end, parity, logit);
      KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
        int const slot = tile.index() * 4 + j, row = first_row + slot;
        if (row >= last_row) continue;
        passed_over[j] = s.tile.bad_query[parity][slot] != 0;
        seen_keys const visible = view.seen_of(row);
        float top = largest[j];
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
          int const column = tile.rank() * 4 + i, token = first + column;
          bool const counts = token < end && view.sees(visible, token) && s.tile.bad_key[parity][column] == 0;
          if (!counts || !finite(logit[j][i])) logit[j][i] = -__builtin_inff();
          top = max(top, logit[j][i]);
        }
        if (top == -__builtin_inff()) continue;
        KVSIEVE_UNROLL for (int k = 0; k < Floats - 1; ++k) sum[j][k] *= ::exp2f(largest[j] - top);
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
          float const e = ::exp2f(logit[j][i] - top);
          sum[j][0] += e;
          if constexpr (pools) {
            int const in = view.pools_of(first + tile.rank() * 4 + i);
            sum[j][1] += in > 0 ? e : 0.0f;
            sum[j][2] += e * static_cast<float>(in);
          }
        }
        largest[j] = top;
      }
      parity ^= 1;
    }
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      float const top = tile.all_max(largest[j]);
      float const scale = top == -__builtin_inff() ? 0.0f : ::exp2f(largest[j] - top);
      float all[Floats - 1];
      KVSIEVE_UNROLL for (int k = 0; k < Floats - 1; ++k) all[k] = tile.all_sum(sum[j][k] * scale);
      int const row = first_row + tile.index() * 4 + j;
      if (row >= last_row || tile.rank() != 0) continue;
      float* const out = view.partial + ((index{w.y} * view.segments + segment) * rows + row) * Floats;
      out[0] = passed_over[j] ? __builtin_nanf("") : top;
      KVSIEVE_UNROLL for (int k = 0; k < Floats - 1; ++k) out[k + 1] = all[k];
    }
  }
};

/// Block (chunk of rows, head, view): joins the segments of its rows in ascending order. Where probabilities are pooled
/// the row's mass becomes such that its pools together have what its tokens had; a row without any is passed over.
template <row_view Queries, row_view Keys, int Floats>
struct join_exponentials_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, queries_args<Queries, Keys> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const rows = view.rows(), row = w.x * Block::threads + b.rank();
    if (row >= rows) return;
    float const* const partial = view.partial + index{w.y} * view.segments * rows * Floats;
    float top = -__builtin_inff(), sum[Floats - 1] = {};
    bool passed_over = false;
    for (int i = 0; i < view.segments; ++i) {
      float const* const part = partial + (index{i} * rows + row) * Floats;
      float const largest = part[0];
      if (largest != largest) passed_over = true;
      if (!(largest > -__builtin_inff())) continue;
      float const next = max(top, largest);
      for (int k = 0; k < Floats - 1; ++k)
        sum[k] = sum[k] * ::exp2f(top - next) + part[k + 1] * ::exp2f(largest - next);
      top = next;
    }
    bool usable = !passed_over && sum[0] > 0.0f;
    float scaled = sum[0];
    if constexpr (Floats > 2) {
      usable = usable && sum[1] > 0.0f;
      scaled = sum[0] * (sum[2] / sum[1]);
    }
    view.mass[index{w.y} * rows + row] = usable ? top + ::log2f(scaled) : __builtin_nanf("");
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
