// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The natural logarithm of a double, the same bits on every machine: a draw that host and device both make must not
// depend on whose library it is made with.
#pragma once
#include <cmath>

#include <cuda/std/bit>
#include <cuda/std/cstdint>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {

/// ln x, within 2 ulp. Split into a power of 2 and m in [2/3, 4/3), whose logarithm is an odd series in
/// (m - 1) / (m + 1); all sums are fused by name, so a compiler has none to fuse. @pre x is normal and positive
[[nodiscard]] KVSIEVE_HD inline double natural_log(double x) {
  auto const bits = ::cuda::std::bit_cast<::cuda::std::uint64_t>(x);
  ::cuda::std::uint64_t const above = bits - 0x3fe5555555555555ull;  // 2/3
  auto const power = static_cast<double>(static_cast<::cuda::std::int64_t>(above) >> 52);
  auto const m = ::cuda::std::bit_cast<double>(bits - (above & ~0xfffffffffffffull));
  double const s = (m - 1.0) / (m + 1.0), q = s * s;
  double p = 2.0 / 23;  // 2 / (2 k + 1), down to k = 1
  p = ::fma(p, q, 2.0 / 21);
  p = ::fma(p, q, 2.0 / 19);
  p = ::fma(p, q, 2.0 / 17);
  p = ::fma(p, q, 2.0 / 15);
  p = ::fma(p, q, 2.0 / 13);
  p = ::fma(p, q, 2.0 / 11);
  p = ::fma(p, q, 2.0 / 9);
  p = ::fma(p, q, 2.0 / 7);
  p = ::fma(p, q, 2.0 / 5);
  p = ::fma(p, q, 2.0 / 3);
  double const of_m = ::fma(s * q, p, s + s);
  return ::fma(power, 0x1.62e42fefa39efp-1, ::fma(power, 0x1.abc9e3b39803fp-56, of_m));  // ln 2 in two parts
}
}  // namespace kvsieve::inline v0
