// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Bitmap-sparse rows: the K numbers of largest magnitude of a row, and a bit for each channel that says which. All rows
// have one size, so that they stand in pools and tables as any others. The pruning rule is Mustafar's (arXiv
// 2505.22913).
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>

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
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    float number[D];
    for (int d = 0; d < D; ++d) number[d] = finite(x[d]);
    // The K-th largest magnitude, by its bits from the highest on.
    unsigned cut = 0;
    for (int b = 30; b >= 0; --b) {
      unsigned const wanted = cut | 1u << b;
      int count = 0;
      for (int d = 0; d < D; ++d) count += ordered(number[d]) >= wanted ? 1 : 0;
      cut = count >= K ? wanted : cut;
    }
    int above = 0;
    for (int d = 0; d < D; ++d) above += ordered(number[d]) > cut ? 1 : 0;
    for (int i = 0; i < 8 * words<D>; ++i) row[i] = 0;
    int equal = K - above, at = 8 * words<D>;
    for (int d = 0; d < D; ++d) {
      unsigned const m = ordered(number[d]);
      if (m < cut || (m == cut && equal-- <= 0)) continue;
      row[d / 8] = static_cast<byte>(row[d / 8] | 1 << d % 8);
      store_f16(row + at, x[d]);
      at += 2;
    }
  }

 private:
  /// The bits of a magnitude order as the magnitudes do.
  KVSIEVE_INLINE KVSIEVE_HD static unsigned ordered(float x) { return cs::bit_cast<unsigned>(x) & 0x7fffffffu; }
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
