// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows of 8-bit floats, E4M3 or E5M2: with a scale per tensor or per head that is held apart, or one in each row.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment_minifloat.hpp>
#include <kvsieve/core/fragment_pack.hpp>
#include <kvsieve/core/minifloat.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/codes.hpp>
#include <kvsieve/encode/head_scales.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// E4M3 without infinities: largest number 448, steps of 2^-9 next to 0. Its patterns of NaN read as 480.
struct e4m3 {
  static constexpr char const* name = "fp8_e4m3";                     ///< as in engines
  static constexpr char const* row_name = "fp8_e4m3_per_token_head";  ///< with a scale for each row
  static constexpr float most = 448.0f;                               ///< largest number
  /// Times scale.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float number(byte bits, float scale) {
    return from_e4m3(bits) * (256.0f * scale);
  }
  static constexpr float unit = 256.0f;  ///< what `numbers` are divided by
  /// As many as a fragment holds, over `unit`.
  template <class Fragment>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment numbers(byte const* p) {
    return Fragment::of_e4m3(p);
  }
  /// 32 of them as f16s.
  template <class Fragment>
  KVSIEVE_INLINE static void halves(byte const* p, f16* to) {
    Fragment::halves_of_e4m3(p, to);
  }
  /// The nearest one, ties to even; saturates.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static byte bits(float x) { return to_e4m3(x); }
  /// The same of each lane, of its magnitude.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static host::fragment::mask magnitudes(host::fragment x) {
    return host::minifloats<3, -6>(x, most);
  }
};
/// E5M2: largest number 57344, steps of 2^-16 next to 0. Encoding never gives infinities.
struct e5m2 {
  static constexpr char const* name = "fp8_e5m2";                     ///< as in engines
  static constexpr char const* row_name = "fp8_e5m2_per_token_head";  ///< with a scale for each row
  static constexpr float most = 57344.0f;                             ///< largest number
  /// Times scale.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float number(byte bits, float scale) {
    return from_e5m2(bits) * scale;
  }
  static constexpr float unit = 1.0f;  ///< what `numbers` are divided by
  /// As many as a fragment holds, over `unit`.
  template <class Fragment>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment numbers(byte const* p) {
    return Fragment::of_e5m2(p);
  }
  /// 32 of them as f16s.
  template <class Fragment>
  KVSIEVE_INLINE static void halves(byte const* p, f16* to) {
    Fragment::halves_of_e5m2(p, to);
  }
  /// The nearest one, ties to even; saturates.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static byte bits(float x) { return to_e5m2(x); }
  /// The same of each lane, of its magnitude.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static host::fragment::mask magnitudes(host::fragment x) {
    return host::minifloats<2, -14>(x, most);
  }
};

namespace detail {
/// Writes numbers nearest to what scaled(fragment) gives of a row.
template <class Number, int D, class Scaled>
KVSIEVE_INLINE KVSIEVE_HD void store_minifloats(float const* x, byte* row, Scaled const& scaled) {
  in_blocks<D>(x, row, [&](float const* from, byte* to) {
    host::fragment v[host::fragments_of_32];
    host::fragment::mask c[host::fragments_of_32];
    KVSIEVE_UNROLL for (int f = 0; f < host::fragments_of_32; ++f) {
      v[f] = scaled(host::load(from + f * host::fragment::lanes));
      c[f] = Number::magnitudes(v[f]);
    }
    host::store_with_signs<7>(to, c, v);
  });
}
}  // namespace detail

/// x ~ scale * number, saturating; the scale is that of head_scales. NaN becomes 0. Relative error at most 2^-4 (E4M3)
/// or 2^-3 (E5M2), below the smallest normal number half a step.
/// @tparam Number  e4m3 or e5m2
template <class Number>
struct fp8 {
  using state = head_scales;                         ///< scales, held apart
  static constexpr char const* name = Number::name;  ///< as in engines
  static constexpr int tile_tokens = 1;              ///< a row stands by itself
  static constexpr bool fits(int) { return true; }   ///< rows of any length
  template <int D>
  static constexpr int tile_bytes = D;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel, float scale = 1.0f) {
    return Number::number(row[channel], scale);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel, float scale = 1.0f) {
    return Number::template numbers<Fragment>(row + channel) * Fragment(Number::unit * scale);
  }
  /// A row over its scale.
  template <class Fragment, int D>
  KVSIEVE_INLINE static void halves(byte const* row, int, f16* to) {
    for (int c = 0; c < D; c += 32) Number::template halves<Fragment>(row + c, to + c);
  }
  template <int D>
  static constexpr int channels_of_scale = D;  ///< that share one
  /// The scale.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static float scale(byte const*, int, int, float scale = 1.0f) {
    return Number::unit * scale;
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row, float scale = 1.0f) {
    host::fragment const of(scale), by(1.0f / scale);
    if (has_exact_inverse(scale))  // as of 1, which most rows have
      detail::store_minifloats<Number, D>(x, row, [&](host::fragment v) { return v * by; });
    else
      detail::store_minifloats<Number, D>(x, row, [&](host::fragment v) { return v / of; });
  }
};

/// x ~ scale * number with an f32 scale behind the codes of each row: largest magnitude / Number::most.
/// @tparam Number  e4m3 or e5m2
template <class Number>
struct fp8_row {
  static constexpr char const* name = Number::row_name;  ///< as in vLLM
  static constexpr int tile_tokens = 1;                  ///< a row stands by itself
  static constexpr bool fits(int) { return true; }       ///< rows of any length
  template <int D>
  static constexpr int tile_bytes = D + 4;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    return Number::number(row[channel], load_f32(row + D));
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    return Number::template numbers<Fragment>(row + channel) * Fragment(Number::unit * load_f32(row + D));
  }
  /// A row over its scale.
  template <class Fragment, int D>
  KVSIEVE_INLINE static void halves(byte const* row, int, f16* to) {
    for (int c = 0; c < D; c += 32) Number::template halves<Fragment>(row + c, to + c);
  }
  template <int D>
  static constexpr int channels_of_scale = D;  ///< that share one
  /// The scale.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static float scale(byte const* row, int, int) {
    return Number::unit * load_f32(row + D);
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    float room[D];
    float const scale = range_of_finite<D>(x, room).magnitude() / Number::most;
    host::fragment const by(inverse_of(scale));
    detail::store_minifloats<Number, D>(x, row, [&](host::fragment v) { return v * by; });
    store_f32(row + D, scale);
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
