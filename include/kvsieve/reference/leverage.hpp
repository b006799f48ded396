// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <limits>
#include <span>

#include <kvsieve/reference/rope.hpp>
#include <kvsieve/reference/solve.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Leverage of the tokens [sink, N - recent) of one head; other entries of `score` are left. With x_t key t before its
/// rotation less their mean, and Phi = sketch [D, k]: y_t = Phi^T x_t, score[t] = y_t^T (sum of y y^T + ridge I)^-1
/// y_t. A key that is not finite, or whose square is not finite as a float, scores NaN and takes no part. Compactor,
/// arXiv 2507.08143, as kvpress's LeveragePress.
void leverage(row_view auto const& keys, index head, matrix const& sketch, double ridge, int sink, int recent,
              rope_params const& rope, std::span<double> score) {
  constexpr std::size_t channels = head_dim_of<std::decay_t<decltype(keys)>>;
  std::size_t const k = sketch[0].size();
  std::vector<std::vector<double>> rows;
  std::vector<std::size_t> token;
  std::vector<double> mean(channels, 0.0);
  for (int t = sink; t < static_cast<int>(score.size()) - recent; ++t) {
    score[static_cast<std::size_t>(t)] = std::numeric_limits<double>::quiet_NaN();
    double const norm = norm_of(keys, head, t);
    if (!(norm * norm <= static_cast<double>(std::numeric_limits<float>::max()))) continue;
    rows.push_back(before_rotation(keys, head, t, rope.first_position + t, rope));
    token.push_back(static_cast<std::size_t>(t));
    for (std::size_t d = 0; d < channels; ++d) mean[d] += rows.back()[d];
  }
  matrix sketched, gram = zeros(k, k);
  for (auto const& row : rows) {
    auto& y = sketched.emplace_back(k, 0.0);
    for (std::size_t d = 0; d < channels; ++d)
      for (std::size_t c = 0; c < k; ++c) y[c] += (row[d] - mean[d] / static_cast<double>(rows.size())) * sketch[d][c];
    for (std::size_t a = 0; a < k; ++a)
      for (std::size_t b = 0; b < k; ++b) gram[a][b] += y[a] * y[b];
  }
  for (std::size_t c = 0; c < k; ++c) gram[c][c] += ridge;
  matrix const inverse = inverse_of(gram);
  for (std::size_t i = 0; i < rows.size(); ++i) score[token[i]] = quadratic(inverse, sketched[i]);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
