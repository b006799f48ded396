// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Powers and logarithms of 2 of every lane of a fragment.
#pragma once
#include <cmath>

#include <kvsieve/core/fragment.hpp>

namespace kvsieve::inline v0 {

namespace host::inline KVSIEVE_TARGET {

/// 2^x for x <= 0, within 1.1 ulp where multiply-adds are fused and 1.3 where not; below -126 and for NaN it is 0.
/// Split at the nearest integer, then a degree-6 minimax polynomial of 2^r on [-1/2, 1/2].
KVSIEVE_INLINE KVSIEVE_HD fragment exp2(fragment x) {
#if KVSIEVE_HOST_VECTORS
  auto const in_range = fragment(-0x1.f80002p+6f) < x;  // the float below -126, so that NaN is out of range as well
  x = max(fragment(-126.0f), x);
  fragment const round(12582912.0f);  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits
  fragment const t = x + round, r = x - (t - round);
  fragment p(1.5353362e-4f);
  p = fma(p, r, fragment(1.3398874e-3f));
  p = fma(p, r, fragment(9.6184370e-3f));
  p = fma(p, r, fragment(5.5503325e-2f));
  p = fma(p, r, fragment(2.4022649e-1f));
  p = fma(p, r, fragment(6.9314720e-1f));
  p = fma(p, r, fragment(1.0f));
  return where(in_range, fragment{(fragment::vector)((fragment::mask)p.v + ((fragment::mask)t.v << 23))},
               fragment(0.0f));
#else
  fragment r = x;
  for (int i = 0; i < fragment::lanes; ++i) r.v[i] = x.v[i] >= -126.0f ? ::exp2f(x.v[i]) : 0.0f;
  return r;
#endif
}

/// log2(x) of normal positive numbers, within 2 ulp, or 1e-7 near 1. Split into an exponent and m in [2/3, 4/3), whose
/// logarithm is an odd series in (m - 1) / (m + 1). @pre x is normal and positive
KVSIEVE_INLINE KVSIEVE_HD fragment log2(fragment x) {
#if KVSIEVE_HOST_VECTORS
  // 0x3f2aaaab is 2/3: what lies above it in the bits belongs to the exponent.
  fragment::mask const bits = (fragment::mask)x.v, above = bits - 0x3f2aaaab, power = above >> 23;
  fragment const m{(fragment::vector)(bits - (above & ~0x7fffff))};
  fragment const exponent{__builtin_convertvector(power, fragment::vector)};
  fragment const s = (m - fragment(1.0f)) / (m + fragment(1.0f)), q = s * s;
  fragment p(0.32059890f);  // 2 / (9 ln 2), and so on down to 2 / ln 2
  p = fma(p, q, fragment(0.41219858f));
  p = fma(p, q, fragment(0.57707802f));
  p = fma(p, q, fragment(0.96179669f));
  p = fma(p, q, fragment(2.88539008f));
  return fma(p, s, exponent);
#else
  fragment r = x;
  for (int i = 0; i < fragment::lanes; ++i) r.v[i] = ::log2f(x.v[i]);
  return r;
#endif
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
