// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Bitmap-sparse rows: the K numbers of largest magnitude of a row, and a bit for each channel that says which. All rows
// have one size, so that they stand in pools and tables as any others. The pruning rule is Mustafar's (arXiv
// 2505.22913).
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/encoded.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/codes.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Exactly K of the channels, of equal magnitudes the lower channel first; the others read as 0. A row is a word of 64
/// bits for every 64 channels, channel c being bit c % 64, then K numbers in f16, ascending by channel.
template <int K>
struct bitmap {
  static constexpr char const* name = "bitmap";                               ///< with K from the bytes of a row
  static constexpr int tile_tokens = 1;                                       ///< a row stands by itself
  static constexpr bool fits(int D) { return K >= 1 && K <= D && D <= 512; }  ///< no more than there are
  template <int D>
  static constexpr int words = (D + 63) / 64;  ///< of the bitmap
  template <int D>
  static constexpr int tile_bytes = 8 * words<D> + 2 * K;  ///< bytes of a row

  /// One number.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static float decode(byte const* row, int, int channel) {
    if ((row[channel / 8] >> channel % 8 & 1) == 0) return 0.0f;
    return load_f16(row + 8 * words<D> + 2 * rank<D>(row, channel));
  }
  /// As many as a fragment holds.
  template <class Fragment, int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static Fragment load(byte const* row, int, int channel) {
    return Fragment::spread_f16s(row + 8 * words<D> + 2 * rank<D>(row, channel),
                                 static_cast<unsigned>(word(row, channel / 64) >> channel % 64),
                                 words<D> >= 2);  // the bits before the numbers take 16 bytes
  }
  /// A row as f16s.
  template <class Fragment, int D>
  KVSIEVE_INLINE static void halves(byte const* row, int, f16* to) {
    byte const* from = row + 8 * words<D>;
    KVSIEVE_UNROLL for (int c = 0; c < D; c += Fragment::lanes) {
      auto const bits = static_cast<unsigned>(word(row, c / 64) >> c % 64) & ((1u << Fragment::lanes) - 1);
      int const count = cs::popcount(bits);
      // The bits before the numbers may be read.
      Fragment::spread_f16s(
          from, bits, words<D> * 8 >= 2 * Fragment::lanes || from + 2 * count - row >= 2 * Fragment::lanes, to + c);
      from += 2 * count;
    }
  }
  /// A row.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void encode(float const* x, byte* row) {
    float room[D];
    float mean;
    if (!find_mean<D>(x, mean)) {
      copy_finite<D>(x, room);
      x = room;
      (void)find_mean<D>(x, mean);
    }
    unsigned kept[blocks<D>];
    choose<D>(x, mean, kept);
    byte bits[4 * blocks<D> + 4] = {}, numbers[2 * D + 2 * host::fragment::lanes];
    __builtin_memcpy(bits, kept, sizeof kept);
    __builtin_memcpy(row, bits, 8 * words<D>);
    constexpr int lanes = host::fragment::lanes;
    int at = 0;
    for (int d = 0; d + lanes <= D; d += lanes)
      at += host::store_set_f16s(numbers + 2 * at, host::load(x + d), kept[d / 32] >> d % 32);
    if constexpr (D % lanes != 0)
      for (int d = D / lanes * lanes; d < D; ++d)
        if ((kept[d / 32] >> d % 32 & 1u) != 0) host::store_f16(numbers + 2 * at++, x[d]);
    __builtin_memcpy(row + 8 * words<D>, numbers, 2 * K);
  }

 private:
  template <int D>
  static constexpr int blocks = (D + 31) / 32;  // of 32 channels

  /// Sets the bits of the K channels. A coarse key of each magnitude leaves few between what stays and what goes.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static void choose(float const* x, float mean, unsigned (&kept)[blocks<D>]) {
    using host::fragment;
    // Up to three times the mean magnitude in equal steps. Any key that grows with the magnitude would do.
    fragment const steps(mean > 0x1p-100f ? 42.0f / mean : 0.0f), most(127.0f);
    byte key[32 * blocks<D>];
    for (int i = D; i < 32 * blocks<D>; ++i) key[i] = 0;
    in_blocks<D>(x, key, [&](float const* from, byte* to) {
      detail::store_block(from, to, [&](fragment v) { return host::truncated(min(most, max(v, -v) * steps)); });
    });
    // The highest key that at least K exceed: behind it stand those of which some stay.
    auto const enough = [&](int than) {
      int count = 0;
      for (int i = 0; i < blocks<D>; ++i) count += cs::popcount(host::above(key + 32 * i, than));
      return count >= K ? 1 : 0;
    };
    int cut = -1;
    for (int step = 32; step > 1; step /= 4)
      cut += step * (enough(cut + step) + enough(cut + 2 * step) + enough(cut + 3 * step));
    cut += enough(cut + 1);
    int missing = K, between = 0;
    int place[D];
    for (int i = 0; i < blocks<D>; ++i) {
      kept[i] = host::above(key + 32 * i, cut + 1);
      missing -= cs::popcount(kept[i]);
      for (unsigned left = host::above(key + 32 * i, cut) & ~kept[i]; left != 0; left &= left - 1) {
        int const d = 32 * i + cs::countr_zero(left);
        if (d < D) place[between++] = d;
      }
    }
    // Of those the largest, by the bits of their magnitudes, which order as the magnitudes do.
    unsigned size[D];
    for (int i = 0; i < between; ++i) size[i] = cs::bit_cast<unsigned>(x[place[i]]) & 0x7fffffffu;
    if (between > 24) {
      unsigned const least = largest(size, between, missing);
      for (int i = 0; i < between; ++i) missing -= size[i] > least ? 1 : 0;
      for (int i = 0; i < between; ++i)
        if (size[i] > least || (size[i] == least && missing-- > 0)) kept[place[i] / 32] |= 1u << place[i] % 32;
      return;
    }
    for (int i = 0; i < between; ++i) {
      int before = 0;
      for (int j = 0; j < between; ++j) before += size[j] > size[i] || (size[j] == size[i] && j < i) ? 1 : 0;
      kept[place[i] / 32] |= (before < missing ? 1u : 0u) << place[i] % 32;
    }
  }
  /// The mean magnitude; false where numbers are not finite, or not within the f16s.
  template <int D>
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static bool find_mean(float const* x, float& mean) {
    using host::fragment;
    constexpr int lanes = fragment::lanes, whole = D / lanes * lanes;
    fragment sum[2] = {fragment(0.0f), fragment(0.0f)}, most(0.0f);
    for (int i = 0; i < whole; i += lanes) {
      fragment const v = host::load(x + i), size = max(v, -v);
      sum[i / lanes % 2] += size;
      most = max(most, size);
    }
    float all = host::sum(sum[0] + sum[1]);
    bool within = host::lane_range::all_within(most, sum[0] + sum[1]);
    for (int i = whole; i < D; ++i) {
      within = within && finite(x[i]) == x[i];
      all += x[i] < 0 ? -x[i] : x[i];
    }
    mean = all / static_cast<float>(D);
    return within;
  }
  /// The number that `rank` of `count` reach, from its highest bit on.
  KVSIEVE_INLINE KVSIEVE_HD static unsigned largest(unsigned const* of, int count, int rank) {
    unsigned cut = 0;
    for (int b = 30; b >= 0; --b) {
      unsigned const wanted = cut | 1u << b;
      int reach = 0;
      for (int i = 0; i < count; ++i) reach += of[i] >= wanted ? 1 : 0;
      cut = reach >= rank ? wanted : cut;
    }
    return cut;
  }
  KVSIEVE_INLINE KVSIEVE_HD static unsigned long long word(byte const* row, int w) {
    unsigned long long x;
    __builtin_memcpy(&x, readable_at(row + 8 * w), 8);
    return x;
  }
  /// Kept channels before one.
  template <int D>
  KVSIEVE_INLINE KVSIEVE_HD static int rank(byte const* row, int channel) {
    int r = 0;
    for (int w = 0; w < channel / 64; ++w) r += cs::popcount(word(row, w));
    return r + cs::popcount(word(row, channel / 64) & ((1ull << channel % 64) - 1));
  }
};
}  // namespace encode
}  // namespace kvsieve::inline v0
