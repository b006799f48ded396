// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NVFP4: E2M1 codes, an E4M3 scale for every 16 channels, and a scale per tensor or head that is held apart; 4.5 bits.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment_pack.hpp>
#include <kvsieve/core/fragment_range.hpp>
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
  /// Codes of 32 channels, twice what they stand for.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE static auto codes(byte const* row, int, int channel) {
    static constexpr signed char twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    return Fragment::codes::of_fours(row + channel / 2).of_table(twice);
  }
  template <int>
  static constexpr int channels_of_scale = group;  ///< that share one
  /// The scale of a group, over 128 of the row's.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static e4m3_bits scale(byte const* row, int, int of, float = 1.0f) {
    return {row[D / 2 + of]};
  }
  /// What all of them are multiplied with.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE static float row_scale(byte const*, int, float scale = 1.0f) {
    return 128.0f * scale;
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row, float scale = 1.0f) {
    using host::fragment;
    constexpr int lanes = fragment::lanes;
    float room[D], most[steps<D>] = {}, step[steps<D>];
    auto const at = [&](int g) { return x + g * group; };
    if (!host::largest_magnitudes<D / group, group>(at, most)) {
      copy_finite<D>(x, room);
      x = room;
      (void)host::largest_magnitudes<D / group, group>(at, most);
    }
    byte scales[steps<D>];
    for (int first = 0; first < steps<D>; first += 16) {
      fragment::mask sf[16 / lanes];
      for (int f = 0; f < 16 / lanes; ++f)
        sf[f] = host::minifloats<3, -6>(host::load(most + first + f * lanes) / fragment(6.0f * scale), 448.0f, 7);
      host::store_bytes(scales + first, sf);
    }
    for (int g = 0; g < steps<D>; g += lanes)
      host::store(step + g, fragment::of_e4m3(scales + g) * fragment(256.0f * scale));
    __builtin_memcpy(row + D / 2, scales, D / group);
    for (int first = 0; first < D; first += 2 * group) {
      float const* from = x + first;
      [[maybe_unused]] float last[D % (2 * group) == 0 ? 1 : 2 * group];
      if constexpr (D % (2 * group) != 0)
        if (first + 2 * group > D) {  // behind the last group comes another, of zeros
          for (int i = 0; i < 2 * group; ++i) last[i] = i < group ? from[i] : 0.0f;
          from = last;
        }
      fragment::mask c[host::fragments_of_32];
      KVSIEVE_UNROLL for (int f = 0; f < host::fragments_of_32; ++f) c[f] =
          host::e2m1_codes(host::load(from + f * lanes), fragment(step[(first + f * lanes) / group]));
      byte code[2 * group], pairs[group];
      host::store_bytes(code, c);
      host::store_codes<4>(pairs, code);
      __builtin_memcpy(row + first / 2, pairs, first + 2 * group <= D ? group : group / 2);
    }
  }

 private:
  template <int D>
  static constexpr int steps = (D / group + 15) / 16 * 16;  // groups, up to whole fragments
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float group_scale(byte sf, float scale) {
    return from_e4m3(sf) * (256.0f * scale);
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
