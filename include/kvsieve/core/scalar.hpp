// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The operations of a fragment for a single float, so that one body serves a lane per row and a thread per row.
#pragma once
#include <cmath>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {
/// Square root, correctly rounded on the host.
[[nodiscard]] KVSIEVE_HD inline float sqrt(float x) { return ::sqrtf(x); }
/// a * b + c, rounded once.
[[nodiscard]] KVSIEVE_HD inline float fma(float a, float b, float c) { return ::fmaf(a, b, c); }
/// 2^x.
[[nodiscard]] KVSIEVE_HD inline float exp2(float x) { return ::exp2f(x); }
/// Binary logarithm of a normal positive number.
[[nodiscard]] KVSIEVE_HD inline float log2(float x) { return ::log2f(x); }
/// a < b ? b : a, so a NaN in b gives a.
[[nodiscard]] KVSIEVE_HD constexpr float max(float a, float b) { return a < b ? b : a; }
/// b < a ? b : a, so a NaN in b gives a.
[[nodiscard]] KVSIEVE_HD constexpr float min(float a, float b) { return b < a ? b : a; }
/// condition ? a : b.
[[nodiscard]] KVSIEVE_HD constexpr float where(bool condition, float a, float b) { return condition ? a : b; }
/// False for NaN and the infinities.
[[nodiscard]] KVSIEVE_HD constexpr bool finite(float x) { return x - x == 0.0f; }
}  // namespace kvsieve::inline v0
