// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of signed bytes with an f32 scale behind them; 8 bits a number and 4 bytes a row.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/codes.hpp>
#include <kvsieve/encode/scales.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// x ~ scale * code, code = round(x / scale) away from zero at halves, scale = largest magnitude of the row / 127.
/// Error at most half a scale.
struct int8_row {
  static constexpr char const* name = "int8_per_token_head";  ///< as in vLLM
  static constexpr int tile_tokens = 1;                       ///< a row stands by itself
  static constexpr bool fits(int) { return true; }            ///< rows of any length
  template <int D>
  static constexpr int tile_bytes = D + 4;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    return static_cast<float>(static_cast<signed char>(row[channel])) * load_f32(row + D);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int token, int channel) {
    return number<Fragment, D>(row, token, channel) * Fragment(load_f32(row + D));
  }
  /// Their codes.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment number(byte const* row, int, int channel) {
    return Fragment::of_bytes(reinterpret_cast<signed char const*>(row + channel));
  }
  /// Those of 32 channels.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE static auto codes(byte const* row, int, int channel) {
    return Fragment::codes::of_bytes(row + channel);
  }
  template <int D>
  static constexpr int channels_of_scale = D;  ///< that share one
  /// The scale.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static float scale(byte const* row, int, int) {
    return load_f32(row + D);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    if constexpr (D % 32 == 0) {
      encode_one<int8_row, D>(x, row);
    } else {
      float room[D];
      float const scale = range_of_finite<D>(x, room).magnitude() / 127.0f, inverse = inverse_of(scale);
      in_blocks<D>(x, row, [&](float const* from, byte* to) { codes_signed(from, inverse, to); });
      store_f32(row + D, scale);
    }
  }
  /// Some rows at once, see core/encoded.hpp.
  template <int D, int N, class Ahead>
    requires(D % 32 == 0)
  KVSIEVE_INLINE KVSIEVE_HD static void encode_rows(float const* (&x)[N], byte* const (&row)[N], Ahead const& ahead) {
    float room[N * D];
    auto const s = block_scales<N, 1, D>::of_magnitudes(x, room, 127.0f);
    for (int r = 0; r < N; ++r) {
      for (int c = 0; c < D; c += 32) {
        codes_signed(x[r] + c, s.inverse(r), row[r] + c);
        ahead(r, c);
      }
      store_f32(row[r] + D, s.scale(r));
    }
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
