// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Small dense linear algebra in double, for matrices of at most 512 rows: what stands between the moments of a head and
// the pass over its rows. Row operations only, so that the inner loops are vectors.
#pragma once
#include <cmath>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Factors A + ridge * I = U^T U in place; of `a` [n, n] the upper triangle is read and written.
/// @returns false when it is not positive definite, or not finite; `a` is then of no use
inline bool cholesky(double* a, int n, double ridge) {
  for (int i = 0; i < n; ++i) a[i * n + i] += ridge;
  for (int k = 0; k < n; ++k) {
    double* const pivot = a + k * n;
    double const root = std::sqrt(pivot[k]);
    if (!(root > 0) || !(root < HUGE_VAL)) return false;
    for (int j = k; j < n; ++j) pivot[j] /= root;
    for (int i = k + 1; i < n; ++i) {
      double* const row = a + i * n;
      double const f = pivot[i];
      for (int j = i; j < n; ++j) row[j] -= f * pivot[j];
    }
  }
  return true;
}

/// Solves U^T X = B in place; `u` [n, n] upper triangular, `b` [n, m].
inline void solve_transposed(double const* u, int n, double* b, int m) {
  for (int i = 0; i < n; ++i) {
    double* const row = b + i * m;
    for (int j = 0; j < i; ++j) {
      double const f = u[j * n + i];
      double const* const above = b + j * m;
      for (int c = 0; c < m; ++c) row[c] -= f * above[c];
    }
    double const inverse = 1 / u[i * n + i];
    for (int c = 0; c < m; ++c) row[c] *= inverse;
  }
}

/// out [n, m] = A B for A [n, k] and B [k, m].
inline void multiply(double const* a, double const* b, double* out, int n, int k, int m) {
  for (int i = 0; i < n; ++i) {
    double* const row = out + i * m;
    for (int c = 0; c < m; ++c) row[c] = 0;
    for (int j = 0; j < k; ++j) {
      double const f = a[i * k + j];
      for (int c = 0; c < m; ++c) row[c] += f * b[j * m + c];
    }
  }
}

/// out [n, m] = A^T B for A [k, n] and B [k, m].
inline void multiply_transposed(double const* a, double const* b, double* out, int n, int k, int m) {
  for (int i = 0; i < n * m; ++i) out[i] = 0;
  for (int j = 0; j < k; ++j)
    for (int i = 0; i < n; ++i) {
      double const f = a[j * n + i];
      for (int c = 0; c < m; ++c) out[i * m + c] += f * b[j * m + c];
    }
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
