// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's q4_0: blocks of 32 channels, an f16 scale and 16 bytes of nibbles; 4.5 bits a number.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// x ~ scale * (code - 8), scale = the number of largest magnitude (the first of equal ones) / -8, so that it has code
/// 0. Byte j holds channel j in its low nibble and channel j + 16 in its high one. Codes are those of the scale before
/// it is rounded to f16. Error at most half a scale, and a whole one at the end opposite to the largest number.
struct q4_0 {
  static constexpr char const* name = "q4_0";                ///< as in ggml
  static constexpr int tile_tokens = 1;                      ///< a row stands by itself
  static constexpr int block = 32;                           ///< channels of a block
  static constexpr int block_bytes = 18;                     ///< bytes of a block
  static constexpr bool fits(int D) { return D % 32 == 0; }  ///< blocks do not cross rows
  template <int D>
  static constexpr int tile_bytes = D / block * block_bytes;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    int const i = channel % block;
    int code = b[2 + i % 16] >> (i < 16 ? 0 : 4) & 15;
    return static_cast<float>(code - 8) * load_f16(b);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    int const i = channel % block;
    Fragment x = Fragment::of_nibbles(b + 2 + i % 16, i < 16 ? 0 : 4);
    return (x - Fragment(8.0f)) * Fragment::of_f16(b);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    for (int first = 0; first < D; first += block, row += block_bytes) {
      float const scale = extreme<block>(x + first) / -8.0f, inverse = inverse_of(scale);
      store_f16(row, scale);
      auto const code = [&](int i) {
        int const c = static_cast<int>(finite(x[first + i]) * inverse + 8.5f);
        return c < 15 ? c : 15;
      };
      for (int i = 0; i < 16; ++i) row[2 + i] = static_cast<byte>((code(i) & 15) | (code(i + 16) & 15) << 4);
    }
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
