// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Exponentials and powers of doubles, the same bits on every machine: counts that host and device both make must not
// depend on whose library they are made with.
#pragma once
#include <cmath>

#include <cuda/std/bit>
#include <cuda/std/cstdint>

#include <kvsieve/core/config.hpp>
#include <kvsieve/core/log.hpp>

namespace kvsieve::inline v0 {

/// e^x, within 2 ulp; 0 below -708, infinite above 709, NaN for NaN. Split at the nearest multiple of ln 2, then the
/// series of e^r on [-ln 2 / 2, ln 2 / 2]; all sums are fused by name, so a compiler has none to fuse.
[[nodiscard]] KVSIEVE_HD inline double natural_exp(double x) {
  if (x != x) return x;
  if (x < -708) return 0;
  if (x > 709) return __builtin_inf();
  double const power = ::floor(::fma(x, 0x1.71547652b82fep+0, 0.5));                              // 1 / ln 2
  double const r = ::fma(-power, 0x1.abc9e3b39803fp-56, ::fma(-power, 0x1.62e42fefa39efp-1, x));  // ln 2 in two parts
  double p = 1.0 / 6227020800;  // 1 / k!, down to k = 0
  p = ::fma(p, r, 1.0 / 479001600);
  p = ::fma(p, r, 1.0 / 39916800);
  p = ::fma(p, r, 1.0 / 3628800);
  p = ::fma(p, r, 1.0 / 362880);
  p = ::fma(p, r, 1.0 / 40320);
  p = ::fma(p, r, 1.0 / 5040);
  p = ::fma(p, r, 1.0 / 720);
  p = ::fma(p, r, 1.0 / 120);
  p = ::fma(p, r, 1.0 / 24);
  p = ::fma(p, r, 1.0 / 6);
  p = ::fma(p, r, 0.5);
  p = ::fma(p, r, 1.0);
  p = ::fma(p, r, 1.0);
  auto const exponent = static_cast<::cuda::std::int64_t>(power) + 1023;  // at least 2, at most 2046
  return p * ::cuda::std::bit_cast<double>(exponent << 52);
}

/// x^y, within some ulp where |y ln x| is small; x itself for y = 1. @pre x is normal and positive
[[nodiscard]] KVSIEVE_HD inline double power_of(double x, double y) {
  return y == 1 ? x : natural_exp(y * natural_log(x));
}
}  // namespace kvsieve::inline v0
