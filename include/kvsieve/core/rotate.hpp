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
  constexpr fragment::mask minus = {((Lane & Half) != 0 ? -0x7fffffff - 1 : 0)...};
  return turned<Half>(x, cs::integer_sequence<int, Lane...>{}) +
         fragment{(fragment::vector)((fragment::mask)x.v ^ minus)};
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
    fragment f[count];
    for (int i = 0; i < count; ++i) f[i] = host::detail::add_all_across(host::load(x + i * lanes));
    for (int half = 1; half < rotation_block(D) / lanes; half *= 2)
      for (int first = 0; first < count; first += 2 * half)
        for (int i = first; i < first + half; ++i) {
          fragment const a = f[i], b = f[i + half];
          f[i] = a + b;
          f[i + half] = a - b;
        }
    for (int i = 0; i < count; ++i) host::store(x + i * lanes, f[i] * fragment(rotation_scale<D>));
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
