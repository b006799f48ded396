// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scales of all blocks of a row at once, so that what comes one after the other within a block is done a few times a
// row.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment_pack.hpp>
#include <kvsieve/core/fragment_range.hpp>
#include <kvsieve/encode/block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Scales of `Count` blocks of `Size` numbers, a multiple of 16, one behind another, as finite() has them. Where that
/// changes any, which is rare, `room` [Count * Size] takes them and `x` becomes it.
template <int Count, int Size>
class block_scales {
 public:
  /// (most - least) / top, and the least numbers, of zeros the first.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static block_scales of_ranges(float const*& x, float* room, int top) {
    block_scales s;
    host::fragment end[groups];
    find_ends(x, room, end);
    for (int g = 0; g < groups; ++g) {
      host::fragment const most = end[g], negated = host::swap_halves(most), least = -negated;
      host::store(s.least_ + g * lanes, least);
      if (host::any(least == host::fragment(0.0f)))
        for (int b = g * half; b < Count && b < (g + 1) * half; ++b)
          if (s.least(b) == 0.0f) s.least_[at(b)] = *first(x + b * Size, 0.0f);
      host::store_f16s(s.stored_least_ + 2 * g * lanes, host::load(s.least_ + g * lanes));
      s.keep(g, (most + negated) / host::fragment(static_cast<float>(top)));
    }
    return s;
  }
  /// The number of largest magnitude, the first of equal ones, divided by `by`.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static block_scales of_extremes(float const*& x, float* room, int by) {
    block_scales s;
    host::fragment end[groups];
    find_ends(x, room, end);
    for (int g = 0; g < groups; ++g) {
      host::fragment const most = end[g], negated = host::swap_halves(most);
      host::fragment extreme = where(negated < most, most, -negated);
      if (host::any(most == negated)) {
        float of[lanes];
        host::store(of, extreme);
        for (int b = g * half; b < Count && b < (g + 1) * half; ++b) {
          float& e = of[b % half];
          e = e == 0.0f ? 0.0f : *first(x + b * Size, e);
        }
        extreme = host::load(of);
      }
      s.keep(g, extreme / host::fragment(static_cast<float>(by)));
    }
    return s;
  }
  /// The largest magnitude divided by `by`.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static block_scales of_magnitudes(float const*& x, float* room, float by) {
    block_scales s;
    host::fragment end[groups];
    find_ends(x, room, end);
    for (int g = 0; g < groups; ++g) {
      host::fragment const most = end[g], both = max(most, host::swap_halves(most));
      s.keep(g, max(host::fragment(0.0f), both) / host::fragment(by));
    }
    return s;
  }

  /// The scale of a block.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float scale(int block) const { return scale_[at(block)]; }
  /// 1 / scale of a block, and 0 where that is no number: codes of a block without range are 0.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float inverse(int block) const { return inverse_[at(block)]; }
  /// The least number of a block, of of_ranges.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float least(int block) const { return least_[at(block)]; }
  /// Writes the scale of a block as f16.
  KVSIEVE_INLINE KVSIEVE_HD void store_scale(byte* p, int block) const {
    __builtin_memcpy(p, stored_ + 2 * at(block), 2);
  }
  /// Writes the least number of a block as f16, of of_ranges.
  KVSIEVE_INLINE KVSIEVE_HD void store_least(byte* p, int block) const {
    __builtin_memcpy(p, stored_least_ + 2 * at(block), 2);
  }

 private:
  static constexpr int lanes = host::fragment::lanes, half = lanes / 2, groups = (Count + half - 1) / half;
  /// Blocks of a group have the lower half of its lanes.
  KVSIEVE_INLINE KVSIEVE_HD static constexpr int at(int block) { return block / half * lanes + block % half; }
  /// For each group the largest number of each block, and in the upper lanes the least ones, negated. A last group
  /// that is not full repeats the last block.
  KVSIEVE_INLINE KVSIEVE_HD static void find_ends(float const*& x, float* room, host::fragment (&end)[groups]) {
    if (ends_within(x, end)) return;
    copy_finite<Count * Size>(x, room);
    x = room;
    (void)ends_within(x, end);
  }
  /// The same; false where numbers are not finite, or not within the f16s.
  KVSIEVE_INLINE KVSIEVE_HD static bool ends_within(float const* x, host::fragment (&end)[groups]) {
    host::fragment odd(0.0f), magnitudes(0.0f);
    for (int g = 0; g < groups; ++g) {
      host::fragment of[lanes];
      KVSIEVE_UNROLL for (int i = 0; i < half; ++i) {
        int const block = g * half + i < Count ? g * half + i : Count - 1;
        host::lane_range const r = host::lanes_of<Size>(x + block * Size);
        of[i] = r.most;
        of[half + i] = -r.least;
        odd = odd + r.odd;
      }
      end[g] = host::max_rows(of);
      magnitudes = max(magnitudes, end[g]);
    }
    return host::lane_range::all_within(magnitudes, odd);
  }
  KVSIEVE_INLINE KVSIEVE_HD static float const* first(float const* x, float size) {
    while (*x != size && *x != -size) ++x;
    return x;
  }
  KVSIEVE_INLINE KVSIEVE_HD void keep(int group, host::fragment scale) {
    host::fragment const least(0x1p-126f), one(1.0f);
    host::store(inverse_ + group * lanes, where(least < max(scale, -scale), one / scale, host::fragment(0.0f)));
    host::store(scale_ + group * lanes, scale);
    host::store_f16s(stored_ + 2 * group * lanes, scale);
  }
  float scale_[groups * lanes], inverse_[groups * lanes], least_[groups * lanes];
  byte stored_[2 * groups * lanes], stored_least_[2 * groups * lanes];
};
}  // namespace encode
}  // namespace kvsieve::inline v0
