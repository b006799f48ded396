// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <limits>
#include <span>

#include <kvsieve/reference/rope.hpp>
#include <kvsieve/reference/solve.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Mean and covariance of queries before their rotation.
struct query_statistics {
  std::vector<double> mean;  ///< [D]
  matrix covariance;         ///< [D, D], divided by the number of queries
  int queries = 0;           ///< that were finite
};

/// Those of the last `observed` queries of one query head of a view of `tokens` tokens.
[[nodiscard]] query_statistics statistics_of(row_view auto const& queries, index query_head, int observed, int tokens,
                                             rope_params const& rope) {
  constexpr std::size_t channels = head_dim_of<std::decay_t<decltype(queries)>>;
  query_statistics s{std::vector<double>(channels, 0.0), zeros(channels, channels), 0};
  std::vector<std::vector<double>> rows;
  index const given = queries.extent(1);
  for (index i = given - observed; i < given; ++i) {
    double const norm = norm_of(queries, query_head, i);
    if (!(norm * norm <= static_cast<double>(std::numeric_limits<float>::max()))) continue;
    rows.push_back(
        before_rotation(queries, query_head, i, static_cast<double>(rope.first_position + tokens - given + i), rope));
  }
  s.queries = static_cast<int>(rows.size());
  for (auto const& row : rows)
    for (std::size_t d = 0; d < channels; ++d) s.mean[d] += row[d] / s.queries;
  for (auto const& row : rows)
    for (std::size_t a = 0; a < channels; ++a)
      for (std::size_t b = 0; b < channels; ++b)
        s.covariance[a][b] += (row[a] - s.mean[a]) * (row[b] - s.mean[b]) / s.queries;
  return s;
}

/// Adds to score[t], for the tokens from `sink` on, `share` times the softmax over them of
/// <R m, k_t> / sqrt(D) + k_t^T R C R^T k_t / (2 D), R being the mean rotation over the `future` positions from N on.
/// `logit` gets the arguments of the softmax. Keys that are not finite, or whose square is not finite as a float, are
/// NaN and take no part. Devoto et al., arXiv 2510.00636, as kvpress's ExpectedAttentionPress.
void expected_attention(row_view auto const& keys, index head, query_statistics const& s, int sink, int future,
                        rope_params const& rope, double share, std::span<double> score, std::span<double> logit) {
  constexpr std::size_t channels = head_dim_of<std::decay_t<decltype(keys)>>;
  int const tokens = static_cast<int>(score.size());
  auto const rotation = mean_rotation(rope, static_cast<int>(channels), rope.first_position + tokens, future);
  std::vector<double> const mean = turned(s.mean, rope, rotation);
  matrix covariance = s.covariance;
  for (auto& row : covariance) row = turned(row, rope, rotation);
  for (std::size_t c = 0; c < channels; ++c) {
    std::vector<double> column;
    for (auto const& row : covariance) column.push_back(row[c]);
    column = turned(column, rope, rotation);
    for (std::size_t r = 0; r < channels; ++r) covariance[r][c] = column[r];
  }
  double largest = -std::numeric_limits<double>::infinity(), mass = 0;
  for (int t = sink; t < tokens; ++t) {
    double& z = logit[static_cast<std::size_t>(t)];
    z = std::numeric_limits<double>::quiet_NaN();
    double const norm = norm_of(keys, head, t);
    if (!(norm * norm <= static_cast<double>(std::numeric_limits<float>::max()))) continue;
    std::vector<double> k;
    double dot = 0;
    for (std::size_t d = 0; d < channels; ++d) {
      k.push_back(element_at(keys, head, t, static_cast<int>(d)));
      dot += mean[d] * k[d];
    }
    z = dot / std::sqrt(static_cast<double>(channels)) + quadratic(covariance, k) / (2.0 * channels);
    largest = std::max(largest, z);
  }
  for (int t = sink; t < tokens; ++t)
    if (!std::isnan(logit[static_cast<std::size_t>(t)])) mass += std::exp(logit[static_cast<std::size_t>(t)] - largest);
  for (int t = sink; t < tokens; ++t) {
    auto const i = static_cast<std::size_t>(t);
    score[i] += std::isnan(logit[i]) ? logit[i] : s.queries > 0 ? share * std::exp(logit[i] - largest) / mass : 0;
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
