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
// One step of largest_of_all: pieces of Half lanes of a and b take turns, the first ones of each group of lanes in one
// fragment and the last ones in another. Groups of four lanes, while pieces are smaller, are what one instruction
// moves.
template <int Half, bool Second, int Lane>
inline constexpr int turn_of = [] {
  constexpr int group = Half < 4 ? 4 : fragment::lanes, j = Lane % group;
  return Lane / group * group + j / (2 * Half) * Half + j % Half + (Second ? group / 2 : 0) +
         (j / Half % 2 != 0 ? fragment::lanes : 0);
}();
// Bits of floats as whole numbers: of one sign, larger magnitudes are larger numbers, and NaN exceeds all of them.
typedef unsigned words __attribute__((vector_size(4 * KVSIEVE_HOST_LANES)));
KVSIEVE_INLINE words larger(words a, words b) { return a < b ? b : a; }
KVSIEVE_INLINE fragment::vector larger(fragment::vector a, fragment::vector b) {
  return max(fragment(a), fragment(b)).v;
}
KVSIEVE_INLINE fragment::mask larger(fragment::mask a, fragment::mask b) { return a < b ? b : a; }
template <int Half, class Vector, int... Lane>
KVSIEVE_INLINE Vector larger_turns(Vector a, Vector b, cs::integer_sequence<int, Lane...>) {
  return larger(__builtin_shufflevector(a, b, turn_of<Half, false, Lane>...),
                __builtin_shufflevector(a, b, turn_of<Half, true, Lane>...));
}
// Lane i of the result is the largest lane of a[i].
template <class Vector, int Count>
KVSIEVE_INLINE Vector largest_of_all(Vector const (&a)[Count]) {
  if constexpr (Count == 1) {
    return a[0];
  } else {
    Vector half[Count / 2];
    KVSIEVE_UNROLL for (int i = 0; i < Count / 2; ++i) half[i] = larger_turns<fragment::lanes / Count>(
        a[2 * i], a[2 * i + 1], cs::make_integer_sequence<int, fragment::lanes>{});
    return largest_of_all(half);
  }
}
template <class Words>
KVSIEVE_INLINE Words bits_at(float const* p) {
  Words bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return bits;
}
inline constexpr int most_f16_bits = 0x477fe000;  // of 65504
}  // namespace detail
#endif
/// The largest magnitude of each of some groups of `Size` numbers, a multiple of 16.
/// @param group_at  group_at(i) is where group i lies
/// @param most      [Count], up to whole fragments
/// @return false where numbers are not finite, or not within the f16s; then `most` has no meaning
template <int Count, int Size, class Groups>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD bool largest_magnitudes(Groups const& group_at, float* most) {
  constexpr int lanes = fragment::lanes;
#if KVSIEVE_HOST_VECTORS
  using mask = fragment::mask;
  mask wild = {};
  for (int first = 0; first < Count; first += lanes) {
    mask magnitude[lanes];
    KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) {  // behind the last group it stands again
      float const* const x = group_at(first + i < Count ? first + i : Count - 1);
      magnitude[i] = detail::bits_at<mask>(x) & 0x7fffffff;
      KVSIEVE_UNROLL for (int d = lanes; d < Size; d += lanes) magnitude[i] =
          detail::larger(magnitude[i], detail::bits_at<mask>(x + d) & 0x7fffffff);
    }
    mask const largest = detail::largest_of_all(magnitude);
    wild |= largest > detail::most_f16_bits;
    store(most + first, fragment((fragment::vector)largest));
  }
  return !any(wild);
#else
  bool within = true;
  for (int group = 0; group < Count; ++group) {
    lane_range const r = lanes_of<Size>(group_at(group));
    most[group] = max_lane(max(fragment(0.0f), max(r.most, -r.least)));
    within = within && !r.wild();
  }
  for (int i = Count; i % lanes != 0; ++i) most[i] = most[Count - 1];
  return within;
#endif
}
/// The largest number of each of some groups, of zeros any, and the least one, negated, as largest_magnitudes.
template <int Count, int Size, class Groups>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD bool ranges_of(Groups const& group_at, float* most, float* negated) {
  constexpr int lanes = fragment::lanes;
#if KVSIEVE_HOST_VECTORS
  fragment odd(0.0f), magnitudes(0.0f);
  for (int first = 0; first < Count; first += lanes) {
    fragment::vector up[lanes], down[lanes];
    KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) {
      lane_range const r = lanes_of<Size>(group_at(first + i < Count ? first + i : Count - 1));
      up[i] = r.most.v;
      down[i] = (-r.least).v;
      odd = odd + r.odd;
    }
    fragment const highest = detail::largest_of_all(up), lowest = detail::largest_of_all(down);
    store(most + first, highest);
    store(negated + first, lowest);
    magnitudes = max(magnitudes, max(highest, lowest));
  }
  return lane_range::all_within(magnitudes, odd);
#else
  bool within = true;
  for (int group = 0; group < Count; ++group) {
    lane_range const r = lanes_of<Size>(group_at(group));
    most[group] = max_lane(r.most);
    negated[group] = max_lane(-r.least);
    within = within && !r.wild();
  }
  for (int i = Count; i % lanes != 0; ++i) {
    most[i] = most[Count - 1];
    negated[i] = negated[Count - 1];
  }
  return within;
#endif
}
/// The largest number of each of some groups, and the least one, negated, as largest_magnitudes. That of the two which
/// is of larger magnitude is right; the other one may be any number of the same sign.
template <int Count, int Size, class Groups>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD bool largest_numbers(Groups const& group_at, float* most, float* negated) {
#if KVSIEVE_HOST_VECTORS
  constexpr int lanes = fragment::lanes;
  using words = detail::words;
  using mask = fragment::mask;
  mask wild = {};
  for (int first = 0; first < Count; first += lanes) {
    mask up[lanes];
    words down[lanes];
    KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) {
      float const* const x = group_at(first + i < Count ? first + i : Count - 1);
      // Bits of negative numbers are below others as signed numbers, and above them as unsigned ones.
      up[i] = detail::bits_at<mask>(x);
      down[i] = detail::bits_at<words>(x);
      KVSIEVE_UNROLL for (int d = lanes; d < Size; d += lanes) {
        up[i] = detail::larger(up[i], detail::bits_at<mask>(x + d));
        down[i] = detail::larger(down[i], detail::bits_at<words>(x + d));
      }
    }
    mask const highest = detail::largest_of_all(up), lowest = (mask)(detail::largest_of_all(down) ^ 0x80000000u);
    wild |= (highest > detail::most_f16_bits) | (lowest > detail::most_f16_bits);
    store(most + first, fragment((fragment::vector)highest));
    store(negated + first, fragment((fragment::vector)lowest));
  }
  return !any(wild);
#else
  return ranges_of<Count, Size>(group_at, most, negated);
#endif
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
