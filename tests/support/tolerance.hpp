// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Error bounds of sums in float. u is the unit roundoff; a sum whose longest chain of roundings is d long is off by at
// most gamma(d) times the sum of the magnitudes (Higham, Accuracy and Stability of Numerical Algorithms, chapter 4).
#pragma once
#include <cmath>

namespace support {

inline constexpr double u = 0x1p-24;

/// d u / (1 - d u).
[[nodiscard]] constexpr double gamma(double d) { return d * u / (1 - d * u); }

/// Longest chain of roundings in the sum of D products: lanes and chains in parallel only shorten it, so a plain loop
/// (a rounding for the product, D - 1 for the sums) bounds every order.
[[nodiscard]] constexpr double dot_gamma(int D) { return gamma(D); }
}  // namespace support
