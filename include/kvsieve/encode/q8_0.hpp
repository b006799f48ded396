// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ggml's q8_0: blocks of 32 channels, an f16 scale and 32 signed bytes; 8.5 bits a number.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/codes.hpp>
#include <kvsieve/encode/scales.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// x ~ scale * code, code = round(x / scale) away from zero at halves, scale = largest magnitude / 127. Codes are those
/// of the scale before it is rounded to f16, as in ggml. Error at most half a scale.
struct q8_0 {
  static constexpr char const* name = "q8_0";                ///< as in ggml
  static constexpr int tile_tokens = 1;                      ///< a row stands by itself
  static constexpr int block = 32;                           ///< channels of a block
  static constexpr int block_bytes = 34;                     ///< bytes of a block
  static constexpr bool fits(int D) { return D % 32 == 0; }  ///< blocks do not cross rows
  template <int D>
  static constexpr int tile_bytes = D / block * block_bytes;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    return static_cast<float>(static_cast<signed char>(b[2 + channel % block])) * load_f16(b);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int token, int channel) {
    return number<Fragment, D>(row, token, channel) * Fragment::of_f16(row + channel / block * block_bytes);
  }
  /// Their codes.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment number(byte const* row, int, int channel) {
    byte const* const b = row + channel / block * block_bytes;
    return Fragment::of_bytes(reinterpret_cast<signed char const*>(b + 2 + channel % block));
  }
  /// Those of 32 channels.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE static auto codes(byte const* row, int, int channel) {
    return Fragment::codes::of_bytes(row + channel / block * block_bytes + 2);
  }
  template <int>
  static constexpr int channels_of_scale = block;  ///< that share one
  /// The scale of a group.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static f16 scale(byte const* row, int, int of) {
    return f16_at(row + of * block_bytes);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    encode_one<q8_0, D>(x, row);
  }
  /// Some rows at once, see core/encoded.hpp.
  template <int D, int N, class Ahead>
  KVSIEVE_INLINE KVSIEVE_HD static void encode_rows(float const* (&x)[N], byte* const (&row)[N], Ahead const& ahead) {
    float room[N * D];
    auto const s = block_scales<N, D / block, block>::of_magnitudes(x, room, 127.0f);
    s.template each<block_bytes>(x, row, ahead, [&](int b, float const* from, byte* to) {
      s.store_scale(to, b);
      codes_signed(from, s.inverse(b), to + 2);
    });
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
