// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>
#include <utility>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// A small dense matrix, a vector for each row.
using matrix = std::vector<std::vector<double>>;

/// A matrix of zeros.
[[nodiscard]] inline matrix zeros(std::size_t rows, std::size_t columns) {
  return matrix(rows, std::vector<double>(columns, 0.0));
}

/// The inverse of a matrix, by Gauss and Jordan with row exchange.
[[nodiscard]] inline matrix inverse_of(matrix a) {
  std::size_t const n = a.size();
  matrix b = zeros(n, n);
  for (std::size_t i = 0; i < n; ++i) b[i][i] = 1;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t best = k;
    for (std::size_t i = k + 1; i < n; ++i)
      if (std::abs(a[i][k]) > std::abs(a[best][k])) best = i;
    std::swap(a[k], a[best]);
    std::swap(b[k], b[best]);
    double const pivot = a[k][k];
    for (std::size_t j = 0; j < n; ++j) a[k][j] /= pivot, b[k][j] /= pivot;
    for (std::size_t i = 0; i < n; ++i) {
      double const f = a[i][k];
      if (i == k || f == 0) continue;
      for (std::size_t j = 0; j < n; ++j) a[i][j] -= f * a[k][j], b[i][j] -= f * b[k][j];
    }
  }
  return b;
}

/// x^T A x.
[[nodiscard]] inline double quadratic(matrix const& a, std::vector<double> const& x) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t j = 0; j < x.size(); ++j) sum += x[i] * a[i][j] * x[j];
  return sum;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
