// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The GELU of the error function, for the small networks that some policies bring.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {

/// x Phi(x); the error function is Abramowitz and Stegun's 7.1.26, so the result is within 1e-7 |x|.
KVSIEVE_CALLS_GIVEN
template <class S>
[[nodiscard]] KVSIEVE_HD S gelu(S x) {
  S const magnitude = max(x, -x), t = S(1.0f) / fma(S(0.3275911f * 0.70710678f), magnitude, S(1.0f));
  S p = fma(S(1.061405429f), t, S(-1.453152027f));
  p = fma(p, t, S(1.421413741f));
  p = fma(p, t, S(-0.284496736f));
  p = fma(p, t, S(0.254829592f));
  S const half_tail = p * t * S(0.5f) * exp2(x * x * S(-0.72134752f));  // (1 - erf(|x| / sqrt(2))) / 2
  S const tail = x * half_tail;
  return where(x < S(0.0f), tail, x - tail);
}
}  // namespace kvsieve::inline v0
