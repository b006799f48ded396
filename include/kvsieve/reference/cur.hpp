// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// ||x_t||^2 for one head, NaN where x_t is not finite; below the range of float it is 0.
[[nodiscard]] std::vector<double> squared_norms(row_view auto const& rows, index head) {
  std::vector<double> squares(static_cast<std::size_t>(rows.extent(1)));
  for (std::size_t t = 0; t < squares.size(); ++t) {
    double const norm = norm_of(rows, head, static_cast<index>(t)), square = norm * norm;
    squares[t] = !std::isfinite(square) ? std::numeric_limits<double>::quiet_NaN() : square < FLT_MIN ? 0 : square;
  }
  return squares;
}

/// Each as a share of its block of `block` tokens, NaN counting nothing; a block of zeros stays so. `block` 0: as it
/// is.
inline void shares_of_blocks(std::vector<double>& x, std::size_t block) {
  for (std::size_t first = 0; block > 0 && first < x.size(); first += block) {
    std::size_t const last = std::min(first + block, x.size());
    double sum = 0;
    for (std::size_t t = first; t < last; ++t) sum += std::isnan(x[t]) ? 0 : x[t];
    for (std::size_t t = first; t < last; ++t) x[t] = std::isnan(x[t]) || sum > 0 ? x[t] / sum : 0;
  }
}

/// Which squared norms `cur` takes.
enum class cur_of { keys, values, mean, product };

/// Shares of the squared norms in blocks, joined, over their sum, for one KV head (CurDKV, arXiv 2509.15038, as kvpress
/// has it). NaN where a token that is read is not finite.
void cur(row_view auto const& keys, row_view auto const& values, index head, cur_of of, std::size_t block,
         std::span<double> score) {
  auto a = squared_norms(keys, head), c = squared_norms(values, head);
  shares_of_blocks(a, block);
  shares_of_blocks(c, block);
  double sum = 0;
  for (std::size_t t = 0; t < score.size(); ++t) {
    score[t] = of == cur_of::keys     ? a[t]
               : of == cur_of::values ? c[t]
               : of == cur_of::mean   ? (a[t] + c[t]) / 2
                                      : a[t] * c[t];
    sum += std::isnan(score[t]) ? 0 : score[t];
  }
  for (double& s : score) s = std::isnan(s) || sum > 0 ? s / sum : 0;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
