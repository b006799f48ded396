// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Bitmap-sparse rows: the K numbers of largest magnitude of a row, and a bit for each channel that says which. All rows
// have one size, so that they stand in pools and tables as any others. The pruning rule is Mustafar's (arXiv
// 2505.22913).
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/largest.hpp>
#include <kvsieve/encode/scales.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Exactly K of the channels, of equal magnitudes the lower channel first; the others read as 0. A row is a word of 64
/// bits for every 64 channels, channel c being bit c % 64, then K numbers in f16, ascending by channel.
template <int K>
struct bitmap {
  static constexpr char const* name = "bitmap";                               ///< with K from the bytes of a row
  static constexpr int tile_tokens = 1;                                       ///< a row stands by itself
  static constexpr bool fits(int D) { return K >= 1 && K <= D && D <= 512; }  ///< no more than there are
  template <int D>
  static constexpr int words = (D + 63) / 64;  ///< of the bitmap
  template <int D>
  static constexpr int tile_bytes = 8 * words<D> + 2 * K;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    if ((row[channel / 8] >> channel % 8 & 1) == 0) return 0.0f;
    return load_f16(row + 8 * words<D> + 2 * rank<D>(row, channel));
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    return Fragment::spread_f16s(row + 8 * words<D> + 2 * rank<D>(row, channel),
                                 static_cast<unsigned>(word(row, channel / 64) >> channel % 64),
                                 words<D> >= 2);  // the bits before the numbers take 16 bytes
  }
  /// A row as f16s.
  template <class Fragment, int D>
  KVSIEVE_INLINE static void halves(byte const* row, int, f16* to) {
    byte const* from = row + 8 * words<D>;
    constexpr int lanes = Fragment::lanes;
    KVSIEVE_UNROLL for (int c = 0; c < D; c += lanes) {
      auto const bits = static_cast<unsigned>(word(row, c / 64) >> c % 64);
      // The bits before the numbers may be read.
      bool const before =
          words<D> * 8 >= 2 * lanes || from + 2 * cs::popcount(bits & ((1u << lanes) - 1)) - row >= 2 * lanes;
      from = Fragment::spread_f16s(from, bits, before, to + c);
    }
  }
  /// Some rows at once, see core/encoded.hpp.
  template <int D, int Rows, class Ahead>
  KVSIEVE_INLINE KVSIEVE_HD static void encode_rows(float const* (&x)[Rows], byte* const (&row)[Rows],
                                                    Ahead const& ahead) {
    float room[Rows * D];
    largest_channels<Rows, D, K> const largest(x, room);
    byte numbers[Rows][2 * D + 32];  // what stands behind the last one is not wanted
    for (int r = 0; r < Rows; ++r) {
      int at = 0;
      for (int d = 0; d < D; d += 32) {
        ahead(r, d);
        unsigned const bits = largest.kept(r)[d / 32];
        KVSIEVE_UNROLL for (int i = 0; i < 32; i += 8) if (d + i < D) at +=
            host::store_set_f16s(numbers[r] + 2 * at, largest.eight(r, d + i), bits >> i);
      }
    }
    for (int r = 0; r < Rows; ++r) {
      byte bits[8 * words<D>] = {};
      __builtin_memcpy(bits, largest.kept(r), (D + 31) / 32 * 4);
      __builtin_memcpy(row[r], bits, sizeof bits);
      __builtin_memcpy(row[r] + sizeof bits, numbers[r], 2 * K);
    }
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    encode_one<bitmap, D>(x, row);
  }

 private:
  KVSIEVE_INLINE KVSIEVE_HD static unsigned long long word(byte const* row, int w) {
    unsigned long long x;
    __builtin_memcpy(&x, readable_at(row + 8 * w), 8);
    return x;
  }
  /// Kept channels before one.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static int rank(byte const* row, int channel) {
    int r = 0;
    for (int w = 0; w < channel / 64; ++w) r += cs::popcount(word(row, w));
    return r + cs::popcount(word(row, channel / 64) & ((1ull << channel % 64) - 1));
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
