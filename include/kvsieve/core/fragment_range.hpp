// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The smallest and largest numbers of rows and blocks, which formats of rows (encode/) scale by.
#pragma once
#include <kvsieve/core/fragment.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Whether a lane of a mask is set.
KVSIEVE_INLINE KVSIEVE_HD bool any(fragment::mask m) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  return _mm512_test_epi32_mask((__m512i)m, (__m512i)m) != 0;
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  return _mm256_testz_si256((__m256i)m, (__m256i)m) == 0;
#else
  int all = 0;
  for (int i = 0; i < fragment::lanes; ++i) all |= m[i];
  return all != 0;
#endif
}
/// Each number as it can be scaled: NaN as 0, what is of larger magnitude than any f16 as the largest of its sign.
KVSIEVE_INLINE KVSIEVE_HD fragment within_f16(fragment x) {
  fragment const most(65504.0f), number = where(x == x, x, fragment(0.0f));
  return min(most, max(-most, number));
}

/// The smallest and the largest number of each lane so far.
struct lane_range {
  fragment least;  ///< the smallest; of zeros the first
  fragment most;   ///< the largest; of zeros the first
  fragment odd;    ///< 0, or NaN where a number was none or infinite: then the others say little
  /// One number a lane.
  KVSIEVE_INLINE KVSIEVE_HD explicit lane_range(fragment x) : least(x), most(x), odd(x * fragment(0.0f)) {}
  /// One more each.
  KVSIEVE_INLINE KVSIEVE_HD void see(fragment x) {
    least = min(least, x);
    most = max(most, x);
    odd = fma(x, fragment(0.0f), odd);
  }
  /// Whether a number of any lane is NaN or of larger magnitude than any f16.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD bool wild() const { return !all_within(max(most, -least), odd); }
  /// Whether magnitudes are those of f16s, and no lane of `odd` is NaN.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD static bool all_within(fragment magnitudes, fragment odd) {
    return !any(fragment(65504.0f) < magnitudes) && !any_unequal(odd);
  }

 private:
  KVSIEVE_INLINE KVSIEVE_HD static bool any_unequal(fragment x) {
#if KVSIEVE_HOST_VECTORS
    return any((fragment::mask)(x.v != x.v));
#else
    bool unequal = false;
    for (int i = 0; i < fragment::lanes; ++i) unequal = unequal || x.v[i] != x.v[i];
    return unequal;
#endif
  }
};
/// The range of `Count` numbers by lanes.
template <int Count>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD lane_range lanes_of(float const* x) {
  static_assert(Count % fragment::lanes == 0);
  lane_range r(load(x));
  for (int i = fragment::lanes; i < Count; i += fragment::lanes) r.see(load(x + i));
  return r;
}
#if KVSIEVE_HOST_VECTORS
namespace detail {
// One step of max_rows: pieces of Half lanes of a and b take turns, the first ones of each group of lanes in one
// fragment and the last ones in another. Groups of four lanes, while pieces are smaller, are what one instruction
// moves.
template <int Half, bool Second, int Lane>
inline constexpr int turn_of = [] {
  constexpr int group = Half < 4 ? 4 : fragment::lanes, j = Lane % group;
  return Lane / group * group + j / (2 * Half) * Half + j % Half + (Second ? group / 2 : 0) +
         (j / Half % 2 != 0 ? fragment::lanes : 0);
}();
template <int Half, int... Lane>
KVSIEVE_INLINE fragment larger_turns(fragment a, fragment b, cs::integer_sequence<int, Lane...>) {
  return max(fragment{__builtin_shufflevector(a.v, b.v, turn_of<Half, false, Lane>...)},
             fragment{__builtin_shufflevector(a.v, b.v, turn_of<Half, true, Lane>...)});
}
template <int Count>
KVSIEVE_INLINE fragment largest_of_all(fragment const (&a)[Count]) {
  if constexpr (Count == 1) {
    return a[0];
  } else {
    fragment half[Count / 2];
    KVSIEVE_UNROLL for (int i = 0; i < Count / 2; ++i) half[i] = larger_turns<fragment::lanes / Count>(
        a[2 * i], a[2 * i + 1], cs::make_integer_sequence<int, fragment::lanes>{});
    return largest_of_all(half);
  }
}
}  // namespace detail
#endif
/// The largest lane of each of L fragments without NaN: lane i of the result is that of a[i].
KVSIEVE_INLINE KVSIEVE_HD fragment max_rows(fragment const (&a)[fragment::lanes]) {
#if KVSIEVE_HOST_VECTORS
  return detail::largest_of_all(a);
#else
  fragment r(0.0f);
  for (int i = 0; i < fragment::lanes; ++i) r.v[i] = max_lane(a[i]);
  return r;
#endif
}
/// The largest magnitude of each of `Count` groups of `Size` numbers, a multiple of 16.
/// @param x     [Count, Size]
/// @param most  [Count], up to whole fragments
/// @return false where numbers are not finite, or not within the f16s
template <int Count, int Size>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD bool largest_magnitudes(float const* x, float* most) {
  fragment odd(0.0f), magnitudes(0.0f);
  auto const size_of = [&](int group) {
    lane_range const r = lanes_of<Size>(x + group * Size);
    fragment const size = max(fragment(0.0f), max(r.most, -r.least));
    odd = odd + r.odd;
    magnitudes = max(magnitudes, size);
    return size;
  };
#if KVSIEVE_HOST_VECTORS
  for (int first = 0; first < Count; first += fragment::lanes) {
    fragment size[fragment::lanes];
    KVSIEVE_UNROLL for (int i = 0; i < fragment::lanes; ++i)  // behind the last group it stands again
        size[i] = size_of(first + i < Count ? first + i : Count - 1);
    store(most + first, max_rows(size));
  }
#else
  for (int group = 0; group < Count; ++group) most[group] = max_lane(size_of(group));
#endif
  return lane_range::all_within(magnitudes, odd);
}
/// x with its lower and its upper lanes in each other's place.
KVSIEVE_INLINE KVSIEVE_HD fragment swap_halves(fragment x) {
#if KVSIEVE_HOST_VECTORS
  return detail::turned<fragment::lanes / 2>(x, cs::make_integer_sequence<int, fragment::lanes>{});
#else
  constexpr int half = fragment::lanes / 2;
  fragment r(0.0f);
  for (int i = 0; i < fragment::lanes; ++i) r.v[i] = x[i < half ? i + half : i - half];
  return r;
#endif
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
