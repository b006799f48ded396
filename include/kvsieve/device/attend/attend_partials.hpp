// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a segment of a cache knows of a query row, between the two kernels of decode attention.
#pragma once
#include <cmath>

#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The partial results of one view: of each query row its segments, one behind another, through all parts.
struct attend_partials {
  float* numbers =
      nullptr;            ///< [rows, segments, 2]: largest logit times log2(e), and the sum of the weights against it
  float* sums = nullptr;  ///< [rows, segments, D]: values, summed by weight
  int segments = 0;       ///< of a row

  /// Where a segment of a row is, in partial results.
  [[nodiscard]] KVSIEVE_HD index at(index row, int segment) const { return row * segments + segment; }
};

/// 2^x for x <= 0, as the host has it: below -126 and for NaN it is 0.
[[nodiscard]] KVSIEVE_HD inline float weight_of(float x) { return x >= -126.0f ? ::exp2f(x) : 0.0f; }
/// The factor of what was summed against `most` when `top` is the largest.
[[nodiscard]] KVSIEVE_HD inline float factor_of(float most, float top) {
  return most == top ? 1.0f : weight_of(most - top);
}
/// True when nothing was seen. A sum of NaN is something.
[[nodiscard]] KVSIEVE_HD inline bool saw_nothing(float most, float total) {
  return most == -__builtin_inff() && total == 0.0f;
}

/// Tokens of a segment: a power of two from 64 on, up to 1024, so that a head of so many rows gives about 512 blocks
/// where it can. It follows from the shape of the view alone, so that what else is in a call changes nothing.
/// @param blocks  heads times blocks that read the same tokens
[[nodiscard]] KVSIEVE_HD constexpr int attend_segment_tokens(index blocks, int tokens) {
  int length = 64;
  while (length < 1024 && blocks * pieces(tokens, length) > 512) length *= 2;
  return length;
}
}  // namespace device
}  // namespace kvsieve::inline v0
