// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>
#include <vector>

#include <kvsieve/reference/solve.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// One query row of a refit: its logits over the whole cache, over the kept entries and over its own rows (part of the
/// whole cache), -inf where it does not see.
struct refit_row {
  std::vector<double> whole;  ///< over the whole cache
  std::vector<double> kept;   ///< over the kept entries
  std::vector<double> own;    ///< over its own rows
};

/// What is added to the kept values of a head: (A^T A + ridge)^-1 A^T (O - A V - rest), A the weights of the kept
/// entries among these and the row's own, O the output over the whole cache. Rows that see nothing kept do not count.
[[nodiscard]] inline matrix refit_values(std::vector<refit_row> const& rows, matrix const& whole_values,
                                         matrix const& kept_values, matrix const& own_values, double ridge) {
  std::size_t const n = kept_values.size(), dim = whole_values.front().size();
  matrix normal = zeros(n, n), right = zeros(n, dim);
  for (std::size_t i = 0; i < n; ++i) normal[i][i] = ridge;
  for (refit_row const& r : rows) {
    std::vector<double> missing(dim, 0.0);
    double total = 0;
    for (double const z : r.whole) total += std::exp(z);
    for (std::size_t t = 0; t < r.whole.size(); ++t)
      for (std::size_t d = 0; d < dim; ++d) missing[d] += std::exp(r.whole[t]) / total * whole_values[t][d];
    double left = 0;
    for (double const z : r.kept) left += std::exp(z);
    for (double const z : r.own) left += std::exp(z);
    if (left == 0) continue;
    for (std::size_t d = 0; d < dim; ++d) {
      for (std::size_t e = 0; e < n; ++e) missing[d] -= std::exp(r.kept[e]) / left * kept_values[e][d];
      for (std::size_t t = 0; t < r.own.size(); ++t) missing[d] -= std::exp(r.own[t]) / left * own_values[t][d];
    }
    for (std::size_t i = 0; i < n; ++i) {
      double const a = std::exp(r.kept[i]) / left;
      for (std::size_t j = 0; j < n; ++j) normal[i][j] += a * std::exp(r.kept[j]) / left;
      for (std::size_t d = 0; d < dim; ++d) right[i][d] += a * missing[d];
    }
  }
  matrix const inverse = inverse_of(normal);
  matrix moves = zeros(n, dim);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j)
      for (std::size_t d = 0; d < dim; ++d) moves[i][d] += inverse[i][j] * right[j][d];
  return moves;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
