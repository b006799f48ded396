// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which channels of rows are of largest magnitude; of equal magnitudes the lower channels.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/fragment_largest.hpp>
#include <kvsieve/core/fragment_pack.hpp>
#include <kvsieve/core/fragment_range.hpp>
#include <kvsieve/encode/block.hpp>
#include <kvsieve/encode/codes.hpp>

namespace kvsieve::inline v0 {
namespace encode {

namespace detail {
/// The number that `rank` of `count` reach, from its highest bit on.
KVSIEVE_INLINE KVSIEVE_HD unsigned reached_by(unsigned const* of, int count, int rank) {
  unsigned cut = 0;
  for (int b = 30; b >= 0; --b) {
    unsigned const wanted = cut | 1u << b;
    int reach = 0;
    for (int i = 0; i < count; ++i) reach += of[i] >= wanted ? 1 : 0;
    cut = reach >= rank ? wanted : cut;
  }
  return cut;
}
/// Adds the `missing` largest of the channels `of` to those that are kept.
template <int D, int Blocks>
KVSIEVE_INLINE KVSIEVE_HD void keep_largest(float const* x, unsigned const (&of)[Blocks], int missing,
                                            unsigned (&kept)[Blocks]) {
  // The bits of magnitudes order as the magnitudes do.
  unsigned size[32 * Blocks];
  int place[32 * Blocks], count = 0;
  for (int i = 0; i < Blocks; ++i)
    for (unsigned left = of[i]; left != 0; left &= left - 1) {
      int const d = 32 * i + cs::countr_zero(left);
      size[count] = static_cast<unsigned>(finite_magnitude(x[d]));
      place[count++] = d;
    }
  if (count > 24) {
    unsigned const least = reached_by(size, count, missing);
    for (int i = 0; i < count; ++i) missing -= size[i] > least ? 1 : 0;
    for (int i = 0; i < count; ++i)
      if (size[i] > least || (size[i] == least && missing-- > 0)) kept[place[i] / 32] |= 1u << place[i] % 32;
    return;
  }
  for (int i = 0; i < count; ++i) {
    int before = 0;
    for (int j = 0; j < count; ++j) before += size[j] > size[i] || (size[j] == size[i] && j < i) ? 1 : 0;
    kept[place[i] / 32] |= (before < missing ? 1u : 0u) << place[i] % 32;
  }
}
/// The mean magnitude; false where numbers are not finite, or not within the f16s.
template <int D>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD bool find_mean(float const* x, float& mean) {
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
/// The K largest of D channels, by a coarse key of each magnitude: it leaves few between what stays and what goes.
template <int K, int D, int Blocks>
KVSIEVE_INLINE KVSIEVE_HD void find_largest(float const* x, float mean, unsigned (&kept)[Blocks]) {
  using host::fragment;
  // Up to three times the mean magnitude in equal steps. Any key that grows with the magnitude would do.
  fragment const steps(mean > 0x1p-100f ? 42.0f / mean : 0.0f), most(127.0f);
  byte key[32 * Blocks];
  for (int i = D; i < 32 * Blocks; ++i) key[i] = 0;
  in_blocks<D>(x, key, [&](float const* from, byte* to) {
    store_block(from, to, [&](fragment v) { return host::truncated(min(most, max(v, -v) * steps)); });
  });
  // The highest key that at least K exceed: behind it stand those of which some stay.
  auto const enough = [&](int than) {
    int count = 0;
    for (int i = 0; i < Blocks; ++i) count += cs::popcount(host::above(key + 32 * i, than));
    return count >= K ? 1 : 0;
  };
  int cut = -1;
  for (int step = 32; step > 1; step /= 4)
    cut += step * (enough(cut + step) + enough(cut + 2 * step) + enough(cut + 3 * step));
  cut += enough(cut + 1);
  unsigned between[Blocks];
  int missing = K;
  for (int i = 0; i < Blocks; ++i) {
    kept[i] = host::above(key + 32 * i, cut + 1);
    missing -= cs::popcount(kept[i]);
    between[i] = host::above(key + 32 * i, cut) & ~kept[i] & (i < D / 32 ? ~0u : (1u << D % 32) - 1u);
  }
  keep_largest<D>(x, between, missing, kept);
}
}  // namespace detail

/// The K channels of largest magnitude of some rows [D], as finite() has their numbers. Where that changes any, which
/// is rare, `room` [Rows, D] takes the rows and `x` becomes them.
template <int Rows, int D, int K>
class largest_channels {
 public:
  /// Finds them.
  KVSIEVE_INLINE KVSIEVE_HD largest_channels(float const* (&x)[Rows], float* room) {
    for (int r = 0; r < Rows; ++r) {
      float mean;
      if (!detail::find_mean<D>(x[r], mean)) {
        copy_finite<D>(x[r], room + r * D);
        x[r] = room + r * D;
        (void)detail::find_mean<D>(x[r], mean);
      }
      detail::find_largest<K, D>(x[r], mean, kept_[r]);
      constexpr int lanes = host::fragment::lanes, whole = D / lanes * lanes;
      for (int d = 0; d < whole; d += lanes)
        host::store_f16s(reinterpret_cast<byte*>(f16s_[r] + d), host::load(x[r] + d));
      for (int d = whole; d < padded; ++d) f16s_[r][d] = d < D ? from_float<f16>(x[r][d]) : f16{};
    }
  }
  /// Bits of those of row r, channel c being bit c % 32 of word c / 32.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD unsigned const* kept(int r) const { return kept_[r]; }
  /// Eight numbers of row r from `channel` on, a multiple of 8, as f16s; zeros behind the last one.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD f16 const* eight(int r, int channel) const { return f16s_[r] + channel; }

 private:
  static constexpr int padded = (D + 7) / 8 * 8;
  unsigned kept_[Rows][(D + 31) / 32];
  f16 f16s_[Rows][padded];
};
/// The same of several rows at once, where host::largest_f16s is.
template <int Rows, int D, int K>
  requires(Rows > 1 && host::finds_largest<D>)  // one by one they would wait for each other
class largest_channels<Rows, D, K> {
 public:
  /// @cond as above
  KVSIEVE_INLINE largest_channels(float const* (&x)[Rows], float* room) {
    if (!search_.take(x)) {
      for (int r = 0; r < Rows; ++r) {
        copy_finite<D>(x[r], room + r * D);
        x[r] = room + r * D;
      }
      (void)search_.take(x);
    }
    search_.find();
    search_.reaching(kept_);
    for (int r = 0; r < Rows; ++r)
      if (count(kept_[r]) != K) settle(x[r], r);
  }
  [[nodiscard]] KVSIEVE_INLINE unsigned const* kept(int r) const { return kept_[r]; }
  [[nodiscard]] KVSIEVE_INLINE f16 const* eight(int r, int channel) const { return search_.eight(r, channel); }
  /// @endcond

 private:
  static constexpr int blocks = D / 32;
  KVSIEVE_INLINE static int count(unsigned const (&bits)[blocks]) {
    int all = 0;
    for (unsigned const b : bits) all += cs::popcount(b);
    return all;
  }
  // Of those that f16s do not tell from the K-th.
  KVSIEVE_APART void settle(float const* x, int r) {
    unsigned larger[Rows][blocks], equal[blocks];
    search_.larger(larger);
    for (int i = 0; i < blocks; ++i) {
      equal[i] = kept_[r][i] & ~larger[r][i];
      kept_[r][i] = larger[r][i];
    }
    detail::keep_largest<D>(x, equal, K - count(kept_[r]), kept_[r]);
  }

  host::largest_f16s<Rows, D, K> search_;
  unsigned kept_[Rows][blocks];
};
}  // namespace encode
}  // namespace kvsieve::inline v0
