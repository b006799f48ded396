// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What ggml's q4_0, q4_1, q5_0 and q5_1 are made of: blocks of 32 channels with codes of 4 or 5 bits.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/codes.hpp>
#include <kvsieve/encode/scales.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// An f16 scale; with Minimum an f16 minimum; with 5 bits four bytes of fifth bits, bit j that of channel j; then 16
/// bytes of nibbles, byte j holding channel j in its low one and channel j + 16 in its high one.
/// With Minimum x ~ minimum + scale * code, scale = range / (2^Bits - 1); without, x ~ scale * (code - 2^(Bits - 1)),
/// scale = the number of largest magnitude (the first of equal ones) / -2^(Bits - 1), so that it has code 0. Codes are
/// those of the scale before it is rounded to f16, as in ggml.
template <int Bits, bool Minimum>
struct ggml_block {
  static_assert(Bits == 4 || Bits == 5);
  static constexpr int tile_tokens = 1;                            ///< a row stands by itself
  static constexpr int block = 32;                                 ///< channels of a block
  static constexpr int fifth_at = Minimum ? 4 : 2;                 ///< where fifth bits begin
  static constexpr int codes_at = fifth_at + (Bits == 5 ? 4 : 0);  ///< where nibbles begin
  static constexpr int block_bytes = codes_at + 16;                ///< bytes of a block
  static constexpr int half = 1 << (Bits - 1);                     ///< the code of 0, without a minimum
  static constexpr int top = (1 << Bits) - 1;                      ///< the largest code
  static constexpr bool fits(int D) { return D % block == 0; }     ///< blocks do not cross rows
  template <int D>
  static constexpr int tile_bytes = D / block * block_bytes;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    int const i = channel % block;
    int code = b[codes_at + i % 16] >> (i < 16 ? 0 : 4) & 15;
    if constexpr (Bits == 5) code |= (b[fifth_at + i / 8] >> i % 8 & 1) << 4;
    if constexpr (Minimum)
      return static_cast<float>(code) * load_f16(b) + load_f16(b + 2);
    else
      return static_cast<float>(code - half) * load_f16(b);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    int const i = channel % block;
    Fragment x = Fragment::of_nibbles(b + codes_at + i % 16, i < 16 ? 0 : 4);
    if constexpr (Bits == 5) x = Fragment::add_where(x, load_u32(b + fifth_at) >> i, 16.0f);
    if constexpr (Minimum)
      return x * Fragment::of_f16(b) + Fragment::of_f16(b + 2);
    else
      return (x - Fragment(static_cast<float>(half))) * Fragment::of_f16(b);
  }
  /// Codes of 32 channels, less that of 0 without a minimum.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE static auto codes(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    auto code = Fragment::codes::of_halves(b + codes_at);
    if constexpr (Bits == 5) code = code.template with<4>(b + fifth_at);
    return Minimum ? code : code.less(half);
  }
  template <int>
  static constexpr int channels_of_scale = block;  ///< that share one
  /// The scale of a group.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static f16 scale(byte const* row, int, int of) {
    return f16_at(row + of * block_bytes);
  }
  /// The minimum of a group.
  template <int D>
    requires Minimum
  [[nodiscard]] KVSIEVE_INLINE static f16 least(byte const* row, int, int of) {
    return f16_at(row + of * block_bytes + 2);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    encode_one<ggml_block, D>(x, row);
  }
  /// Some rows at once, see core/encoded.hpp.
  template <int D, int N, class Ahead>
  KVSIEVE_INLINE KVSIEVE_HD static void encode_rows(float const* (&x)[N], byte* const (&row)[N], Ahead const& ahead) {
    float room[N * D];
    using scales = block_scales<N, D / block, block>;
    scales const s = Minimum ? scales::of_ranges(x, room, top) : scales::of_extremes(x, room, -half);
    s.template each<block_bytes>(x, row, ahead, [&](int b, float const* from, byte* to) {
      byte code[block];
      s.store_scale(to, b);
      if constexpr (Minimum) {
        s.store_least(to + 2, b);
        codes_above(from, s.least(b), s.inverse(b), code);
      } else {
        codes_around(from, s.inverse(b), half, code);
      }
      if constexpr (Bits == 5) {
        unsigned const fifth = host::plane_of(code, 4);
        __builtin_memcpy(to + fifth_at, &fifth, 4);
      }
      host::store_nibbles<(Bits > 4)>(to + codes_at, code);
    });
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
