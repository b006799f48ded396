// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's q5_1: blocks of 32 channels, f16 scale and minimum, 4 bytes of fifth bits and 16 of nibbles; 6 bits a number.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// x ~ minimum + scale * code, scale = range / 31. Bit j of the four bytes is the fifth bit of channel j; nibbles lie
/// as in q4_0. Error at most half a scale.
struct q5_1 {
  static constexpr char const* name = "q5_1";                ///< as in ggml
  static constexpr int tile_tokens = 1;                      ///< a row stands by itself
  static constexpr int block = 32;                           ///< channels of a block
  static constexpr int block_bytes = 24;                     ///< bytes of a block
  static constexpr bool fits(int D) { return D % 32 == 0; }  ///< blocks do not cross rows
  template <int D>
  static constexpr int tile_bytes = D / block * block_bytes;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    int const i = channel % block;
    int code = b[8 + i % 16] >> (i < 16 ? 0 : 4) & 15;
    code |= (b[4 + i / 8] >> i % 8 & 1) << 4;
    return static_cast<float>(code) * load_f16(b) + load_f16(b + 2);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    int const i = channel % block;
    Fragment x = Fragment::of_nibbles(b + 8 + i % 16, i < 16 ? 0 : 4);
    x = Fragment::add_where(x, load_u32(b + 4) >> i, 16.0f);
    return x * Fragment::of_f16(b) + Fragment::of_f16(b + 2);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    for (int first = 0; first < D; first += block, row += block_bytes) {
      value_range const r = range_of<block>(x + first);
      float const scale = (r.most - r.least) / 31.0f, inverse = inverse_of(scale);
      store_f16(row, scale);
      store_f16(row + 2, r.least);
      auto const code = [&](int i) {
        int const c = static_cast<int>((finite(x[first + i]) - r.least) * inverse + 0.5f);
        return c < 31 ? c : 31;
      };
      unsigned fifth = 0;
      for (int i = 0; i < block; ++i) fifth |= static_cast<unsigned>(code(i) >> 4 & 1) << i;
      __builtin_memcpy(row + 4, &fifth, 4);
      for (int i = 0; i < 16; ++i) row[8 + i] = static_cast<byte>((code(i) & 15) | (code(i + 16) & 15) << 4);
    }
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
