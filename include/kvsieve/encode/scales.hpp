// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scales of all blocks of some rows at once, so that what comes one after the other within a block is done once for
// many.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment_pack.hpp>
#include <kvsieve/core/fragment_range.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/encode/block.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Scales of the blocks of some rows, each of `Count` blocks of `Size` numbers, a multiple of 16, as finite() has
/// them. Where that changes any, which is rare, `room` [Rows, Count * Size] takes the rows and `x` becomes them. Blocks
/// are counted through all rows.
template <int Rows, int Count, int Size>
class block_scales {
 public:
  /// (most - least) / top, and the least numbers, of zeros the first.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static block_scales of_ranges(float const* (&x)[Rows], float* room, int top) {
    block_scales s;
    float most[padded], negated[padded];
    make_finite(x, room, [&](auto const& at) { return host::ranges_of<all, Size>(at, most, negated); });
    for (int b = 0; b < padded; b += lanes) {
      host::fragment const lowest = host::load(negated + b), least = -lowest;
      host::store(s.least_ + b, least);
      if (host::any(least == host::fragment(0.0f)))
        for (int i = b; i < all && i < b + lanes; ++i)
          if (s.least(i) == 0.0f) s.least_[i] = *first(block_of(x, i), 0.0f);
      host::store_f16s(s.stored_least_ + 2 * b, host::load(s.least_ + b));
      s.keep(b, (host::load(most + b) + lowest) / host::fragment(static_cast<float>(top)));
    }
    return s;
  }
  /// The number of largest magnitude, the first of equal ones, divided by `by`.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static block_scales of_extremes(float const* (&x)[Rows], float* room,
                                                                          int by) {
    block_scales s;
    float most[padded], negated[padded];
    make_finite(x, room, [&](auto const& at) { return host::largest_numbers<all, Size>(at, most, negated); });
    for (int b = 0; b < padded; b += lanes) {
      host::fragment const up = host::load(most + b), down = host::load(negated + b);
      host::fragment extreme = where(down < up, up, -down);
      if (host::any(up == down)) {
        host::store(most + b, extreme);
        for (int i = b; i < all && i < b + lanes; ++i)
          most[i] = most[i] == 0.0f ? 0.0f : *first(block_of(x, i), most[i]);
        extreme = host::load(most + b);
      }
      s.keep(b, extreme / host::fragment(static_cast<float>(by)));
    }
    return s;
  }
  /// The largest magnitude divided by `by`.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static block_scales of_magnitudes(float const* (&x)[Rows], float* room,
                                                                            float by) {
    block_scales s;
    float most[padded];
    make_finite(x, room, [&](auto const& at) { return host::largest_magnitudes<all, Size>(at, most); });
    for (int b = 0; b < padded; b += lanes) s.keep(b, host::load(most + b) / host::fragment(by));
    return s;
  }

  /// Calls code(block, numbers, where it begins) for all blocks of rows, whose blocks take `Bytes` each, and
  /// ahead(row, channel) for every 32 channels.
  template <int Bytes, class Ahead, class Code>
  KVSIEVE_INLINE KVSIEVE_HD static void each(float const* const (&x)[Rows], byte* const (&row)[Rows],
                                             Ahead const& ahead, Code const& code) {
    for (int r = 0; r < Rows; ++r)
      for (int b = 0; b < Count; ++b) {
        code(r * Count + b, x[r] + b * Size, row[r] + b * Bytes);
        for (int c = round_up(b * Size, 32); c < (b + 1) * Size; c += 32) ahead(r, c);
      }
  }
  /// The scale of a block.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float scale(int block) const { return scale_[block]; }
  /// 1 / scale of a block, and 0 where that is no number: codes of a block without range are 0.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float inverse(int block) const { return inverse_[block]; }
  /// The least number of a block, of of_ranges.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float least(int block) const { return least_[block]; }
  /// Writes the scale of a block as f16.
  KVSIEVE_INLINE KVSIEVE_HD void store_scale(byte* p, int block) const { __builtin_memcpy(p, stored_ + 2 * block, 2); }
  /// Writes the least number of a block as f16, of of_ranges.
  KVSIEVE_INLINE KVSIEVE_HD void store_least(byte* p, int block) const {
    __builtin_memcpy(p, stored_least_ + 2 * block, 2);
  }

 private:
  KVSIEVE_INLINE KVSIEVE_HD static float const* block_of(float const* const (&x)[Rows], int block) {
    return x[block / Count] + block % Count * Size;
  }
  static constexpr int lanes = host::fragment::lanes, all = Rows * Count, padded = (all + lanes - 1) / lanes * lanes;
  /// Calls look(at), which says whether all numbers are finite and within the f16s, and again once they are.
  template <class Look>
  KVSIEVE_INLINE KVSIEVE_HD static void make_finite(float const* (&x)[Rows], float* room, Look const& look) {
    auto const at = [&](int block) { return block_of(x, block); };
    if (look(at)) return;
    for (int r = 0; r < Rows; ++r) {
      copy_finite<Count * Size>(x[r], room + r * Count * Size);
      x[r] = room + r * Count * Size;
    }
    (void)look(at);
  }
  KVSIEVE_INLINE KVSIEVE_HD static float const* first(float const* x, float size) {
    while (*x != size && *x != -size) ++x;
    return x;
  }
  KVSIEVE_INLINE KVSIEVE_HD void keep(int block, host::fragment scale) {
    host::fragment const least(0x1p-126f), one(1.0f);
    host::store(inverse_ + block, where(least < max(scale, -scale), one / scale, host::fragment(0.0f)));
    host::store(scale_ + block, scale);
    host::store_f16s(stored_ + 2 * block, scale);
  }
  float scale_[padded], inverse_[padded], least_[padded];
  byte stored_[2 * padded], stored_least_[2 * padded];
};

/// What Format::encode_rows does, for a row.
template <class Format, int D>
KVSIEVE_INLINE KVSIEVE_HD void encode_one(float const* x, byte* row) {
  float const* from[1] = {x};
  byte* const to[1] = {row};
  Format::template encode_rows<D>(from, to, [](int, int) {});
}
}  // namespace encode
}  // namespace kvsieve::inline v0
