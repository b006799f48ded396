// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The Hadamard rotation of a row: it keeps lengths and dot products, and is its own inverse.
#pragma once
#include <kvsieve/core/config.hpp>
#include <kvsieve/core/fragment.hpp>

namespace kvsieve::inline v0 {

/// Channels that are rotated together: the largest power of two that divides D. 64, 128, 256 and 512 are one block,
/// 96 has blocks of 32, 80 of 16.
[[nodiscard]] KVSIEVE_HD constexpr int rotation_block(int D) { return D & -D; }
/// Its base-2 logarithm.
[[nodiscard]] KVSIEVE_HD constexpr int rotation_stages(int D) {
  int stages = 0;
  for (int size = rotation_block(D); size > 1; size /= 2) ++stages;
  return stages;
}
/// 1 / sqrt(rotation_block(D)).
template <int D>
inline constexpr float rotation_scale = static_cast<float>(
    (rotation_stages(D) % 2 != 0 ? 0.70710678118654752440 : 1.0) / static_cast<double>(1 << rotation_stages(D) / 2));

#if KVSIEVE_HOST_VECTORS
namespace host::inline KVSIEVE_TARGET {
namespace detail {
/// Sums of lanes Half apart, and their differences in the upper ones of each pair.
template <int Half, int... Lane>
KVSIEVE_INLINE fragment add_across(fragment x, cs::integer_sequence<int, Lane...>) {
  constexpr fragment::vector sign = {((Lane & Half) != 0 ? -1.0f : 1.0f)...};
  return fma(x, fragment(sign), turned<Half>(x, cs::integer_sequence<int, Lane...>{}));
}
template <int Half = 1>
KVSIEVE_INLINE fragment add_all_across(fragment x) {
  if constexpr (Half == fragment::lanes)
    return x;
  else
    return add_all_across<2 * Half>(add_across<Half>(x, cs::make_integer_sequence<int, fragment::lanes>{}));
}
}  // namespace detail
}  // namespace host::inline KVSIEVE_TARGET
#endif

/// Multiplies a row [D] in place by the orthonormal Hadamard matrix in Sylvester's order, block by block: entry (i, j)
/// is (-1)^popcount(i & j) / sqrt(rotation_block(D)).
template <int D>
KVSIEVE_INLINE KVSIEVE_HD void rotate(float* x) {
#if KVSIEVE_HOST_VECTORS
  // The same sums in the same order, the nearest ones first.
  using host::fragment;
  constexpr int lanes = fragment::lanes, count = D / lanes;
  if constexpr (rotation_block(D) >= lanes) {
    constexpr int blocks = rotation_block(D) / lanes, some = blocks < 8 ? blocks : 8;  // what registers hold
    fragment const scale(rotation_scale<D>);
    for (int first = 0; first < count; first += some) {
      fragment f[some];
      KVSIEVE_UNROLL for (int i = 0; i < some; ++i) f[i] =
          host::detail::add_all_across(host::load(x + (first + i) * lanes));
      KVSIEVE_UNROLL for (int half = 1; half < some; half *= 2) KVSIEVE_UNROLL for (int i = 0; i < some; ++i) {
        if ((i & half) != 0) continue;
        fragment const a = f[i], b = f[i + half];
        f[i] = a + b;
        f[i + half] = a - b;
      }
      KVSIEVE_UNROLL for (int i = 0; i < some; ++i)
          host::store(x + (first + i) * lanes, some == blocks ? f[i] * scale : f[i]);
    }
    for (int half = some; half < blocks; half *= 2)
      for (int first = 0; first < count; first += 2 * half)
        for (int i = first; i < first + half; ++i) {
          float *const low = x + i * lanes, *const high = low + half * lanes;
          fragment const a = host::load(low), b = host::load(high);
          bool const last = 2 * half == blocks;
          host::store(low, last ? (a + b) * scale : a + b);
          host::store(high, last ? (a - b) * scale : a - b);
        }
    return;
  }
#endif
  for (int half = 1; half < rotation_block(D); half *= 2)
    for (int first = 0; first < D; first += 2 * half)
      for (int i = first; i < first + half; ++i) {
        float const a = x[i], b = x[i + half];
        x[i] = a + b;
        x[i + half] = a - b;
      }
  for (int i = 0; i < D; ++i) x[i] *= rotation_scale<D>;
}
}  // namespace kvsieve::inline v0
