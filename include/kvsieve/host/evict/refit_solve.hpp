// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ridge least squares by blocks: (A^T A + ridge) X = A^T R, or by the rows of A where they are fewer than its columns.
// Products of blocks are floats, what they are added up in and the blocks on the diagonal are double.
#pragma once
#include <cmath>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/host/row/matrix_product.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <int D>
class refit_solve {
  static constexpr int lanes = fragment::lanes;
  static constexpr index block = 32;  // rows that are factored at once

 public:
  /// What one worker works in.
  struct room {
    float* turned;   ///< A^T [n, wide(m)], where it is needed
    double* normal;  ///< [side, wide(side)], the smaller of m and n
    float* rows;     ///< [block, wide(side)]: of the factor
    float* right;    ///< [the larger of m and n, D], floats of what is multiplied with A
    double* moves;   ///< [n, D]: the result
    float* packed;
  };
  /// For matrices of up to `area` numbers, `larger` rows or columns, and a smaller side of up to `side`.
  [[nodiscard]] static room carve(arena& a, index area, index larger, index side) {
    auto const floats = [&](index n) { return a.take<float>(static_cast<std::size_t>(n)); };
    auto const doubles = [&](index n) { return a.take<double>(static_cast<std::size_t>(n)); };
    float* const turned = floats(area);
    double* const normal = doubles(side * wide(side));
    float* const rows = floats(block * wide(side));
    float* const right = floats(larger * D);
    double* const moves = doubles(larger * D);
    return {turned, normal, rows, right, moves, floats(packed_floats)};
  }
  [[nodiscard]] static index wide(index n) { return round_up<index>(n, product_rows); }

  /// Solves for A [m, n] with rows `wide(n)` apart and R [m, D], which is used up.
  /// @returns false where the numbers allow no solution
  static bool run(float const* a, index m, index n, double* rest, double ridge, room const& r) {
    index const stride = wide(n);
    product_table const transposed{a, 1, stride};
    if (n <= m) {
      square(transposed, n, a, stride, m, r);
      copy(rest, m, r.right);
      times(transposed, n, m, r);
      if (!factor(n, ridge, r)) return false;
      solve(n, r.moves, r);
      return true;
    }
    for (index k = 0; k < n; ++k)
      for (index i = 0; i < wide(m); ++i) r.turned[k * wide(m) + i] = i < m ? a[i * stride + k] : 0.0f;
    square({a, stride, 1}, m, r.turned, wide(m), n, r);
    if (!factor(m, ridge, r)) return false;
    solve(m, rest, r);
    copy(rest, m, r.right);
    times(transposed, n, m, r);
    return true;
  }

 private:
  static void copy(double const* from, index rows, float* to) {
    for (index i = 0; i < rows * D; ++i) to[i] = static_cast<float>(from[i]);
  }
  /// moves = left [n, m] times right [m, D].
  static void times(product_table const& left, index n, index m, room const& r) {
    for (index i = 0; i < n * D; ++i) r.moves[i] = 0;
    multiply_blocks(left, n, r.right, D, D, m, r.packed,
                    [&](index i, index d, fragment x) { add_to(r.moves + i * D + d, x, 1); });
  }
  /// Where the columns begin that rows from `o` on have in an upper triangle.
  static index from_diagonal(index o) { return o / product_rows * product_rows; }

  /// The upper triangle of left [side, inputs] times its transpose, `right` [inputs, side].
  static void square(product_table const& left, index side, float const* right, index stride, index inputs,
                     room const& r) {
    for (index i = 0; i < side * wide(side); ++i) r.normal[i] = 0;
    multiply_blocks(left, side, right, stride, wide(side), inputs, r.packed, &from_diagonal,
                    [&](index i, index j, fragment x) { add_to(r.normal + i * wide(side) + j, x, 1); });
  }

  /// normal + ridge = U^T U, in place.
  static bool factor(index side, double ridge, room const& r) {
    index const stride = wide(side);
    double* const a = r.normal;
    for (index i = 0; i < side; ++i) a[i * stride + i] += ridge;
    for (index first = 0; first < side; first += block) {
      index const last = side - first < block ? side : first + block;
      for (index k = first; k < last; ++k) {
        double* const pivot = a + k * stride;
        double const root = std::sqrt(pivot[k]);
        if (!(root > 0) || !(root < HUGE_VAL)) return false;
        double const inverse = 1 / root;
        for (index j = k; j < side; ++j) pivot[j] *= inverse;
        for (index i = k + 1; i < last; ++i) {
          double* const row = a + i * stride;
          double const f = pivot[i];
          for (index j = i; j < side; ++j) row[j] -= f * pivot[j];
        }
      }
      if (last == side) break;
      rows_of(side, first, last, r);
      multiply_blocks(
          {r.rows + last, 1, stride}, side - last, r.rows + from_diagonal(last), stride, stride - from_diagonal(last),
          last - first, r.packed, [&](index o) { return from_diagonal(last + o) - from_diagonal(last); },
          [&](index i, index j, fragment x) { add_to(a + (last + i) * stride + from_diagonal(last) + j, x, -1); });
    }
    return true;
  }
  /// Rows [first, last) of the factor as floats.
  static void rows_of(index side, index first, index last, room const& r) {
    index const stride = wide(side);
    for (index k = first; k < last; ++k)
      for (index j = 0; j < stride; ++j)
        r.rows[(k - first) * stride + j] = j < k || j >= side ? 0.0f : static_cast<float>(r.normal[k * stride + j]);
  }

  /// x = (U^T U)^-1 x in place, x [side, D].
  static void solve(index side, double* x, room const& r) {
    index const stride = wide(side);
    double const* const u = r.normal;
    for (index first = 0; first < side; first += block) {
      index const last = side - first < block ? side : first + block;
      for (index i = first; i < last; ++i) {
        for (index j = first; j < i; ++j) take(x + i * D, u[j * stride + i], x + j * D);
        divide(x + i * D, u[i * stride + i]);
      }
      if (last == side) break;
      rows_of(side, first, last, r);
      copy(x + first * D, last - first, r.right);
      multiply_blocks({r.rows + last, 1, stride}, side - last, r.right, D, D, last - first, r.packed,
                      [&](index i, index d, fragment v) { add_to(x + (last + i) * D + d, v, -1); });
    }
    for (index last = side; last > 0;) {
      index const first = (last - 1) / block * block;
      if (last < side) {
        rows_of(side, first, last, r);
        copy(x + last * D, side - last, r.right);
        multiply_blocks({r.rows + last, stride, 1}, last - first, r.right, D, D, side - last, r.packed,
                        [&](index i, index d, fragment v) { add_to(x + (first + i) * D + d, v, -1); });
      }
      for (index i = last - 1; i >= first; --i) {
        for (index j = i + 1; j < last; ++j) take(x + i * D, u[i * stride + j], x + j * D);
        divide(x + i * D, u[i * stride + i]);
      }
      last = first;
    }
  }
  static void take(double* from, double factor, double const* row) {
    for (int d = 0; d < D; ++d) from[d] -= factor * row[d];
  }
  static void divide(double* row, double by) {
    for (int d = 0; d < D; ++d) row[d] /= by;
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
