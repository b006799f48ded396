// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What goes across the lanes of fragments: sums, the largest lane, transposition.
#pragma once
#include <kvsieve/core/fragment.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

#if KVSIEVE_HOST_VECTORS
namespace detail {
// One step of sum_rows: of two fragments whose rows take 2 Half lanes each, rows of Half lanes. Within 16 bytes no lane
// leaves them, and those of a come before those of b; across them rows of a and b take turns.
template <int Half, bool Second, int Lane>
inline constexpr int folded_lane = [] {
  constexpr int lanes = fragment::lanes, of = Half < 4 ? Lane % 4 / 2 : Lane / Half % 2;  // of a or of b
  if constexpr (Half < 4)
    return of * lanes + Lane / 4 * 4 + Lane % 2 * (2 / Half) + (Second ? Half : 0);
  else
    return of * lanes + Lane / Half / 2 * 2 * Half + (Second ? Half : 0) + Lane % Half;
}();
template <int Half, int... Lane>
KVSIEVE_INLINE fragment fold_lanes(fragment a, fragment b, cs::integer_sequence<int, Lane...>) {
#if KVSIEVE_HOST_LANES == 8
  if constexpr (Half == 4) {  // (first half of a, second of b) + (second of a, first of b): one of them is no shuffle
    __m256 const x = (__m256)a.v, y = (__m256)b.v;
    return {(fragment::vector)_mm256_blend_ps(x, y, 0xf0) + (fragment::vector)_mm256_permute2f128_ps(x, y, 0x21)};
  }
#endif
  return {__builtin_shufflevector(a.v, b.v, folded_lane<Half, false, Lane>...) +
          __builtin_shufflevector(a.v, b.v, folded_lane<Half, true, Lane>...)};
}
template <int Count>
KVSIEVE_INLINE fragment fold_all(fragment const (&a)[Count]) {
  if constexpr (Count == 1) {
    return a[0];
  } else {
    constexpr int half = Count / 2;  // of rows, and of the lanes that each of them has left
    fragment folded[half];
    KVSIEVE_UNROLL for (int i = 0; i < half; ++i) folded[i] = fold_lanes<half>(
        a[half < 4 ? 2 * i : i], a[half < 4 ? 2 * i + 1 : i + half], cs::make_integer_sequence<int, fragment::lanes>{});
    return fold_all(folded);
  }
}
}  // namespace detail
#endif
/// Sums L fragments across their lanes at once: lane i of the result is the sum over the lanes of a[i].
/// The order of the additions does not depend on where a row stands, so a row's sum is the same in any position.
KVSIEVE_INLINE KVSIEVE_HD fragment sum_rows(fragment const (&a)[fragment::lanes]) {
#if KVSIEVE_HOST_VECTORS
  return detail::fold_all(a);
#else
  fragment r(0.0f);
  for (int i = 0; i < fragment::lanes; ++i) {
    float part[fragment::lanes];
    store(part, a[i]);
    for (int half = fragment::lanes / 2; half > 0; half /= 2)
      for (int j = 0; j < half; ++j) part[j] += part[j + half];
    r.v[i] = part[0];
  }
  return r;
#endif
}
#if KVSIEVE_HOST_VECTORS
namespace detail {
// One step of a transposition: lanes [0, half) and [half, 2 half) of every 2 half lanes trade places between a and b.
template <int Half, bool Second, int Lane>
inline constexpr int traded_lane = Second ? ((Lane & Half) != 0 ? fragment::lanes + Lane : Lane + Half)
                                          : ((Lane & Half) != 0 ? fragment::lanes + Lane - Half : Lane);
template <int Half, int... Lane>
KVSIEVE_INLINE void trade_lanes(fragment& a, fragment& b, cs::integer_sequence<int, Lane...>) {
  fragment::vector const x = __builtin_shufflevector(a.v, b.v, traded_lane<Half, false, Lane>...);
  b.v = __builtin_shufflevector(a.v, b.v, traded_lane<Half, true, Lane>...);
  a.v = x;
}
template <int Half>
KVSIEVE_INLINE void trade_all(fragment (&a)[fragment::lanes]) {
  if constexpr (Half > 0) {
    KVSIEVE_UNROLL for (int i = 0; i < fragment::lanes; ++i) {
      if ((i & Half) == 0) trade_lanes<Half>(a[i], a[i + Half], cs::make_integer_sequence<int, fragment::lanes>{});
    }
    trade_all<Half / 2>(a);
  }
}
}  // namespace detail
#endif
/// Transposes in place: lane i of fragment j becomes lane j of fragment i.
KVSIEVE_INLINE KVSIEVE_HD void transpose(fragment (&a)[fragment::lanes]) {
#if KVSIEVE_HOST_VECTORS
  detail::trade_all<fragment::lanes / 2>(a);
#else
  for (int i = 0; i < fragment::lanes; ++i)
    for (int j = 0; j < i; ++j) {
      float const x = a[i].v[j];
      a[i].v[j] = a[j].v[i];
      a[j].v[i] = x;
    }
#endif
}
/// Sum over the lanes, in the order of sum_rows.
KVSIEVE_INLINE KVSIEVE_HD float sum(fragment x) {
  float part[fragment::lanes];
  store(part, x);
  for (int half = fragment::lanes / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) part[j] += part[j + half];
  return part[0];
}
#if KVSIEVE_HOST_VECTORS
namespace detail {
template <int Half, int... Lane>
KVSIEVE_INLINE fragment turned(fragment x, cs::integer_sequence<int, Lane...>) {
  return {__builtin_shufflevector(x.v, x.v, (Lane ^ Half)...)};
}
template <int Half = fragment::lanes / 2>
KVSIEVE_INLINE float widest(fragment x) {
  if constexpr (Half == 0)
    return x[0];
  else
    return widest<Half / 2>(max(x, turned<Half>(x, cs::make_integer_sequence<int, fragment::lanes>{})));
}
}  // namespace detail
#endif
/// Largest lane; NaN lanes are passed over.
KVSIEVE_INLINE KVSIEVE_HD float max_lane(fragment x) {
  x = max(fragment(-__builtin_inff()), x);
#if KVSIEVE_HOST_VECTORS
  return detail::widest(x);
#else
  float m = x[0];
  for (int i = 1; i < fragment::lanes; ++i) m = m < x[i] ? x[i] : m;
  return m;
#endif
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
