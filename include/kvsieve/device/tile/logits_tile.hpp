// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A block's tile of logits: rows of queries against tokens, channels in slices through shared memory, 4 x 4 logits in
// the registers of each thread.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/tile/row_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// How a block's threads lie over a tile of logits: `columns` threads along the tokens, `lines` along the queries.
template <int Threads>
struct tile_shape {
  static_assert(Threads == 32 || Threads == 64 || Threads == 128 || Threads == 256);
  static constexpr int columns = Threads <= 64 ? 8 : 16, lines = Threads / columns;
  static constexpr int tokens = 4 * columns, rows = 4 * lines;
};

/// Shared memory of the tile and the product over it.
template <block Block>
struct logits_tile {
  using shape = tile_shape<Block::threads>;
  static constexpr int channels = 16;  // of a slice

  alignas(16) float key[channels][shape::tokens + 4];
  alignas(16) float query[channels][shape::rows + 4];
  // Not 0 where a key or query is not finite. Two sets: one is cleared while the other is still read.
  unsigned bad_key[2][shape::tokens], bad_query[2][shape::rows];

  /// Before the first product; the first sync of compute() publishes it.
  KVSIEVE_HD void reset(Block& b) {
    for (int i = b.rank(); i < shape::tokens; i += Block::threads) bad_key[0][i] = 0;
    for (int i = b.rank(); i < shape::rows; i += Block::threads) bad_query[0][i] = 0;
  }

  /// logit[j][i] = log2(e) <q, k> / sqrt(D) of row first_row + 4 line + j and token first_token + 4 column + i, where
  /// tile<columns>() gives column by rank and line by index. Rows from last_row and tokens from last_token on are 0.
  /// Successive calls alternate `parity`, starting with 0.
  template <class View>
  KVSIEVE_HD void compute(Block& b, View const& view, int head, int first_row, int last_row, int first_token,
                          int last_token, int parity, float (&logit)[4][4]) {
    constexpr int D = head_dim_of<decltype(view.keys)>, per_row = channels / fragment::lanes;
    auto const tile = b.template tile<shape::columns>();
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) { KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) logit[j][i] = 0; }
    for (int d = 0; d < D; d += channels) {
      b.sync();  // the slice before this one is used up
      if (d == 0) {
        for (int i = b.rank(); i < shape::tokens; i += Block::threads) bad_key[parity ^ 1][i] = 0;
        for (int i = b.rank(); i < shape::rows; i += Block::threads) bad_query[parity ^ 1][i] = 0;
      }
      for (int i = b.rank(); i < shape::tokens * per_row; i += Block::threads) {
        int const slot = i / per_row, at = i % per_row * fragment::lanes, token = first_token + slot;
        fragment x = splat(0.0f);
        if (token < last_token && d + at < D) x = load_row(row_of(view.keys, head, token), d + at);
        put(b, key, slot, at, x, bad_key[parity]);
      }
      for (int i = b.rank(); i < shape::rows * per_row; i += Block::threads) {
        int const slot = i / per_row, at = i % per_row * fragment::lanes, row = first_row + slot;
        fragment x = splat(0.0f);
        if (row < last_row && d + at < D) {
          index const query_head = index{head} * view.group + row / view.observed;
          index const position = view.queries.extent(1) - view.observed + row % view.observed;
          x = load_row(row_of(view.queries, query_head, position), d + at);
        }
        put(b, query, slot, at, x, bad_query[parity]);
      }
      b.sync();
      KVSIEVE_UNROLL for (int c = 0; c < channels; ++c) {
        fragment const q = load_row(static_cast<float const*>(query[c]), tile.index() * 4);
        fragment const k = load_row(static_cast<float const*>(key[c]), tile.rank() * 4);
        KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
          KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) logit[j][i] += q.v[j] * k.v[i];
        }
      }
    }
    float const scale = 1.4426950408889634f / ::sqrtf(static_cast<float>(D));
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) { KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) logit[j][i] *= scale; }
  }

 private:
  template <int Columns>
  KVSIEVE_HD static void put(Block& b, float (&slice)[channels][Columns], int slot, int at, fragment const& x,
                             unsigned* bad) {
    KVSIEVE_UNROLL for (int j = 0; j < fragment::lanes; ++j) slice[at + j][slot] = x.v[j];
    fragment const zero = x - x;  // NaN where x is not finite
    if (!finite(sum(zero))) b.atomic_add(bad[slot], 1u);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
