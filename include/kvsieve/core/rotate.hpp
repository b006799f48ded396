// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The Hadamard rotation of a row: it keeps lengths and dot products, and is its own inverse.
#pragma once
#include <kvsieve/core/config.hpp>

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

/// Multiplies a row [D] in place by the orthonormal Hadamard matrix in Sylvester's order, block by block: entry (i, j)
/// is (-1)^popcount(i & j) / sqrt(rotation_block(D)).
template <int D>
KVSIEVE_INLINE KVSIEVE_HD void rotate(float* x) {
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
