// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NVFP4: E2M1 codes, an E4M3 scale for every 16 channels, and a scale per tensor or head that is held apart; 4.5 bits.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment_minifloat.hpp>
#include <kvsieve/core/fragment_pack.hpp>
#include <kvsieve/core/fragment_range.hpp>
#include <kvsieve/core/math.hpp>
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
  /// Some rows at once, see core/encoded.hpp.
  template <int D, int Rows, class Ahead>
  KVSIEVE_INLINE KVSIEVE_HD static void encode_rows(float const* (&x)[Rows], byte* const (&row)[Rows],
                                                    Ahead const& ahead, float const (&scale)[Rows]) {
    using host::fragment;
    constexpr int lanes = fragment::lanes, groups = D / group;
    float room[Rows * D], step[steps<Rows * groups>];
    byte scales[steps<Rows * groups>];
    find_steps<D>(x, scale, room, step, scales);
    for (int r = 0; r < Rows; ++r) {
      __builtin_memcpy(row[r] + D / 2, scales + r * groups, groups);
      for (int first = 0; first < D; first += 2 * group) {
        ahead(r, first);
        fragment from[host::fragments_of_32];
        fragment::mask c[host::fragments_of_32];
        KVSIEVE_UNROLL for (int i = 0; i < 2; ++i) {  // behind the last group come zeros
          bool const last = first + i * group >= D;
          fragment const by(last ? 1.0f : step[r * groups + first / group + i]);
          KVSIEVE_UNROLL for (int d = i * group; d < (i + 1) * group; d += lanes) {
            from[d / lanes] = last ? fragment(0.0f) : host::load(x[r] + first + d);
            c[d / lanes] = host::e2m1_codes(from[d / lanes], by);
          }
        }
        byte code[2 * group], pairs[group];
        host::store_with_signs<3>(code, c, from);
        host::store_codes<4>(pairs, code);
        __builtin_memcpy(row[r] + first / 2, pairs, first + 2 * group <= D ? group : group / 2);
      }
    }
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row, float scale = 1.0f) {
    float const* from[1] = {x};
    byte* const to[1] = {row};
    float const scales[1] = {scale};
    encode_rows<D>(from, to, [](int, int) {}, scales);
  }

 private:
  template <int Groups>
  static constexpr int steps = round_up(Groups, 16);  // as many as are written at once
  // Group scales of all rows, and what numbers are divided by.
  template <int D, int Rows, int Steps>
  KVSIEVE_INLINE KVSIEVE_HD static void find_steps(float const* (&x)[Rows], float const (&scale)[Rows], float* room,
                                                   float (&step)[Steps], byte (&scales)[Steps]) {
    using host::fragment;
    constexpr int lanes = fragment::lanes, groups = D / group, all = Rows * groups;
    auto const at = [&](int g) { return x[g / groups] + g % groups * group; };
    float most[Steps], of[Steps];
    if (!host::largest_magnitudes<all, group>(at, most)) {
      for (int r = 0; r < Rows; ++r) {
        copy_finite<D>(x[r], room + r * D);
        x[r] = room + r * D;
      }
      (void)host::largest_magnitudes<all, group>(at, most);
    }
    for (int g = all; g < Steps; ++g) {  // behind the last group it stands again
      most[g] = most[all - 1];
      of[g] = scale[Rows - 1];
    }
    for (int r = 0; r < Rows; ++r)
      for (int g = 0; g < groups; ++g) of[r * groups + g] = scale[r];
    fragment outside(0.0f);
    for (int first = 0; first < Steps; first += 16) {
      fragment::mask sf[16 / lanes];
      for (int f = 0; f < 16 / lanes; ++f) {
        int const g = first + f * lanes;
        sf[f] = host::minifloats<3, -6>(host::load(most + g) / (fragment(6.0f) * host::load(of + g)), 448.0f);
      }
      host::store_bytes(scales + first, sf);
    }
    for (int r = 0; r < Rows; ++r)
      if (scale[r] < 0.0f)
        for (int g = r * groups; g < (r + 1) * groups; ++g) scales[g] |= byte{0x80};
    for (int g = 0; g < Steps; g += lanes) {
      fragment const by = fragment::of_e4m3(scales + g) * (fragment(256.0f) * host::load(of + g));
      outside = where(host::load(most + g) < fragment(6.75f) * by, outside, fragment(1.0f));
      host::store(step + g, by);
    }
    if (host::any(fragment(0.0f) < outside)) limit<D>(x, room, step);
  }
  // Makes numbers that are not within 7 steps such, and zeros where there is no step.
  template <int D, int Rows>
  KVSIEVE_INLINE KVSIEVE_HD static void limit(float const* (&x)[Rows], float* room, float* step) {
    for (int r = 0; r < Rows; ++r, room += D) {
      for (int d = 0; d < D; ++d) {
        float const most = 6.75f * step[r * (D / group) + d / group], v = x[r][d];
        room[d] = most > 0.0f ? (v < -most ? -most : v < most ? v : most) : 0.0f;
      }
      x[r] = room;
    }
    for (int g = 0; g < Rows * (D / group); ++g) step[g] = step[g] > 0.0f ? step[g] : 1.0f;
  }
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float group_scale(byte sf, float scale) {
    return from_e4m3(sf) * (256.0f * scale);
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
