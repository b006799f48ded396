// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A block's tile of logits of 16-bit queries and keys: the products by the matrix units, handed to the threads as
// logits_tile hands them.
#pragma once
#include <kvsieve/device/tile/logits_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Shared memory of the tile and the product over it; a drop-in for logits_tile.
template <block Block, element T>
struct product_tile {
  using shape = tile_shape<Block::threads>;
  static constexpr int channels = 64;          // of a slice
  static constexpr int stride = channels + 8;  // eight rows, 16 bytes of each, lie in different banks
  static constexpr int line = shape::tokens + 8;

  // Slices are used up before logits are written. Logits as the matrix units leave them: a warp's 16 x 32.
  union {
    alignas(16) cs::uint16_t slice[shape::rows + shape::tokens][stride];  // queries, then keys
    alignas(16) float logits[shape::rows][line];
  };
  // Not 0 where a key or query is not finite. Two sets: one is cleared while the other is still read.
  unsigned bad_key[2][shape::tokens], bad_query[2][shape::rows];

  /// Before the first product; the first sync of compute() publishes it.
  KVSIEVE_HD void reset(Block& b) {
    for (int i = b.rank(); i < shape::tokens; i += Block::threads) bad_key[0][i] = 0;
    for (int i = b.rank(); i < shape::rows; i += Block::threads) bad_query[0][i] = 0;
  }

  /// As logits_tile::compute.
  template <class View>
  KVSIEVE_HD void compute(Block& b, View const& view, int head, int first_row, int last_row, int first_token,
                          int last_token, int parity, float (&logit)[4][4]) {
    constexpr int D = head_dim_of<decltype(view.keys)>, across = shape::tokens / 32;
    static_assert(D % 16 == 0 && shape::rows / 16 * across * 32 == Block::threads);
    int const warp = b.rank() / 32, lane = b.rank() % 32, row = warp / across * 16, token = warp % across * 32;
    float product[4][4];
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) { KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) product[j][i] = 0; }
    slice_part held = fetch(b, view, head, first_row, last_row, first_token, last_token, 0);
    KVSIEVE_NO_UNROLL for (int d = 0; d < D; d += channels) {
      b.sync();  // the logits or the slice before this one are used up
      if (d == 0) {
        for (int i = b.rank(); i < shape::tokens; i += Block::threads) bad_key[parity ^ 1][i] = 0;
        for (int i = b.rank(); i < shape::rows; i += Block::threads) bad_query[parity ^ 1][i] = 0;
      }
      put(b, held, parity);
      // On its way while this slice is multiplied.
      if (d + channels < D) held = fetch(b, view, head, first_row, last_row, first_token, last_token, d + channels);
      b.sync();
      KVSIEVE_UNROLL for (int c = 0; c < channels; c += 16) {
        if (d + c < D) b.template multiply_add<T>(slice[row] + c, slice[shape::rows + token] + c, stride, product);
      }
    }
    b.sync();
    float const scale = 1.4426950408889634f / ::sqrtf(static_cast<float>(D));
    KVSIEVE_UNROLL for (int n = 0; n < 4; ++n) {
      KVSIEVE_UNROLL for (int i = 0; i < 4; i += 2) {
        float* const at = &logits[row + lane / 4 + i / 2 * 8][token + 8 * n + lane % 4 * 2];
        *reinterpret_cast<pair*>(at) = {product[n][i] * scale, product[n][i + 1] * scale};
      }
    }
    b.sync();
    auto const tile = b.template tile<shape::columns>();
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      fragment const x = load_row(static_cast<float const*>(logits[tile.index() * 4 + j]), tile.rank() * 4);
      KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) logit[j][i] = x.v[i];
    }
  }

 private:
  struct alignas(8) pair {
    float x, y;
  };
  // A slice is filled four channels at a time, `step` rows at once.
  static constexpr int per_row = channels / 4, step = Block::threads / per_row;
  static_assert(shape::rows % step == 0 && shape::tokens % step == 0);
  /// A thread's part of a slice.
  struct slice_part {
    packed<T> query[shape::rows / step], key[shape::tokens / step];
  };

  template <class View>
  KVSIEVE_HD static slice_part fetch(Block& b, View const& view, int head, int first_row, int last_row, int first_token,
                                     int last_token, int d) {
    constexpr int D = head_dim_of<decltype(view.keys)>;
    int const at = d + b.rank() % per_row * 4, begin = b.rank() / per_row;
    index const first_query = view.queries.extent(1) - view.observed;
    slice_part part = {};
    KVSIEVE_UNROLL for (int j = 0; j < shape::rows / step; ++j) {
      int const row = first_row + begin + j * step, query_head = row / view.observed;
      if (row >= last_row || at >= D) continue;
      part.query[j] = read(row_of(view.queries, index{head} * view.group + query_head,
                                  first_query + (row - query_head * view.observed)) +
                           at);
    }
    KVSIEVE_UNROLL for (int j = 0; j < shape::tokens / step; ++j) {
      int const token = first_token + begin + j * step;
      if (token < last_token && at < D) part.key[j] = read(row_of(view.keys, head, token) + at);
    }
    return part;
  }
  KVSIEVE_HD void put(Block& b, slice_part const& part, int parity) {
    int const at = b.rank() % per_row * 4, begin = b.rank() / per_row;
    KVSIEVE_UNROLL for (int j = 0; j < shape::rows / step; ++j) {
      int const row = begin + j * step;
      put_four(slice[row] + at, part.query[j]);
      if (!finite_four(part.query[j])) b.atomic_add(bad_query[parity][row], 1u);
    }
    KVSIEVE_UNROLL for (int j = 0; j < shape::tokens / step; ++j) {
      int const token = begin + j * step;
      put_four(slice[shape::rows + token] + at, part.key[j]);
      if (!finite_four(part.key[j])) b.atomic_add(bad_key[parity][token], 1u);
    }
  }
  KVSIEVE_HD static packed<T> read(T const* four) { return *reinterpret_cast<packed<T> const*>(four); }
  KVSIEVE_HD static void put_four(cs::uint16_t* to, packed<T> const& x) {
    *reinterpret_cast<packed<cs::uint16_t>*>(to) = {
        {x.element[0].bits, x.element[1].bits, x.element[2].bits, x.element[3].bits}};
  }
  KVSIEVE_HD static bool finite_four(packed<T> const& x) {
    constexpr unsigned exponent = cs::is_same_v<T, f16> ? 0x7c00u : 0x7f80u;
    bool all = true;
    KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) all = all && (x.element[i].bits & exponent) != exponent;
    return all;
  }
};

/// Queries and keys that the matrix units take: rows of one 16-bit type, contiguous, of whole steps of 16 channels.
template <row_view Queries, row_view Keys>
inline constexpr bool multiplies_rows =
    cs::is_same_v<element_of<Queries>, element_of<Keys>> && sizeof(element_of<Keys>) == 2 && contiguous_rows<Queries> &&
    contiguous_rows<Keys> && head_dim_of<Keys> % 16 == 0;

/// The tile of logits for these rows.
template <block Block, row_view Queries, row_view Keys>
using tile_of_logits =
    cs::conditional_t<multiplies_rows<Queries, Keys>,
                      product_tile<Block, cs::conditional_t<multiplies_rows<Queries, Keys>, element_of<Keys>, f16>>,
                      logits_tile<Block>>;
}  // namespace device
}  // namespace kvsieve::inline v0
