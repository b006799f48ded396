// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of 4-bit codes with an f32 scale and an f32 least number behind them; 4 bits a number and 8 bytes a row.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/codes.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// x ~ least + scale * code, scale = range of the row / 15. A layout of our own: 16 bytes for every 32 channels, byte j
/// with channels j and j + 16, then scale, then least. The last four bits of the scale are 0, so that products with
/// codes are exact on every machine. Error at most half a scale, and its rounding.
struct int4_row {
  static constexpr char const* name = "int4_per_token_head";  ///< not vLLM's bytes, which hide the zero in the scale
  static constexpr int tile_tokens = 1;                       ///< a row stands by itself
  static constexpr bool fits(int D) { return D % 32 == 0; }   ///< whole groups of codes
  template <int D>
  static constexpr int tile_bytes = D / 2 + 8;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    int const code = nibble(row + channel / 32 * 16, channel % 32);
    return static_cast<float>(code) * load_f32(row + D / 2) + load_f32(row + D / 2 + 4);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    return Fragment::of_nibbles(row + channel / 32 * 16 + channel % 16, channel % 32 >= 16 ? 4 : 0) *
               Fragment(load_f32(row + D / 2)) +
           Fragment(load_f32(row + D / 2 + 4));
  }
  /// Codes of 32 channels.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE static auto codes(byte const* row, int, int channel) {
    return Fragment::codes::of_halves(row + channel / 2);
  }
  template <int D>
  static constexpr int channels_of_scale = D;  ///< that share one
  /// The scale.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static float scale(byte const* row, int, int) {
    return load_f32(row + D / 2);
  }
  /// The least number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static float least(byte const* row, int, int) {
    return load_f32(row + D / 2 + 4);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    float room[D];
    value_range const r = range_of_finite<D>(x, room);
    float const scale = cs::bit_cast<float>(cs::bit_cast<unsigned>((r.most - r.least) / 15.0f) & ~15u);
    float const inverse = inverse_of(scale);
    for (int first = 0; first < D; first += 32) {
      byte code[32];
      codes_above(x + first, r.least, inverse, code);
      host::store_nibbles<false>(row + first / 2, code);
    }
    store_f32(row + D / 2, scale);
    store_f32(row + D / 2 + 4, r.least);
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
