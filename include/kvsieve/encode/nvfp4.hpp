// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NVFP4: E2M1 codes, an E4M3 scale for every 16 channels, and a scale per tensor or head that is held apart; 4.5 bits.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/minifloat.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/head_scales.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// x ~ e2m1 * (group scale * scale), group scale = e4m3(largest magnitude of 16 / (6 * scale)). A row is its D / 2
/// bytes of codes, low nibbles first, then its D / 16 group scales in order. Groups whose scale rounds to 0 are zeros.
struct nvfp4 {
  using state = head_scales;                                 ///< the scale per tensor or head
  static constexpr char const* name = "nvfp4";               ///< as in engines
  static constexpr int tile_tokens = 1;                      ///< a row stands by itself
  static constexpr int group = 16;                           ///< channels that share a scale
  static constexpr bool fits(int D) { return D % 16 == 0; }  ///< groups do not cross rows
  template <int D>
  static constexpr int tile_bytes = D / 2 + D / group;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel, float scale = 1.0f) {
    return from_e2m1(row[channel / 2] >> channel % 2 * 4 & 15u) * group_scale(row[D / 2 + channel / group], scale);
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel, float scale = 1.0f) {
    return Fragment::of_e2m1(row + channel / 2, group_scale(row[D / 2 + channel / group], scale));
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row, float scale = 1.0f) {
    for (int g = 0; g < D / group; ++g) {
      float const* const from = x + g * group;
      byte const sf = to_e4m3(largest_magnitude<group>(from) / (6.0f * scale));
      float const step = group_scale(sf, scale);
      row[D / 2 + g] = sf;
      for (int i = 0; i < group / 2; ++i)
        row[g * group / 2 + i] = static_cast<byte>(
            step == 0.0f ? 0u : to_e2m1(finite(from[2 * i]) / step) | to_e2m1(finite(from[2 * i + 1]) / step) << 4);
    }
  }

 private:
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float group_scale(byte sf, float scale) {
    return from_e4m3(sf) * (256.0f * scale);
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
