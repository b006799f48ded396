// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The softmax of a run of logits, a block after another: weights against the largest so far.
#pragma once
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/host/row/row_block.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Raises the running maximum to that of a block of logits; what was summed before is scaled down to it.
/// @param z      logits of a block [Rows], times log2(e)
/// @param most   the running maximum
/// @param total  sums of weights, by lanes
/// @param out    sums of weights times values [D]
template <int D, int Rows>
KVSIEVE_INLINE void raise(float const* z, float& most, fragment& total, float* out) {
  constexpr int lanes = fragment::lanes;
  fragment m(most);
  KVSIEVE_UNROLL for (int j = 0; j < Rows; j += lanes) m = max(m, load(z + j));
  float const next = max_lane(m);
  if (next == most || next == -__builtin_inff()) return;
  fragment const down = exp2(fragment(most - next));
  total = total * down;
  for (int d = 0; d < D; d += lanes) store(out + d, load(out + d) * down);
  most = next;
}
/// Makes weights of a block of logits [Rows], against the maximum, and adds them to `total`.
template <int Rows>
KVSIEVE_INLINE void soften(float* z, float most, fragment& total) {
  constexpr int lanes = fragment::lanes;
  if (most == -__builtin_inff()) {  // nothing is visible yet; a NaN stays one
    for (int j = 0; j < Rows; j += lanes) {
      fragment const x = load(z + j), w = where(x == fragment(most), fragment(0.0f), x);
      total += w;
      store(z + j, w);
    }
    return;
  }
  KVSIEVE_UNROLL for (int j = 0; j < Rows; j += lanes) {
    fragment const w = exp2(load(z + j) - fragment(most));
    total += w;
    store(z + j, w);
  }
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
