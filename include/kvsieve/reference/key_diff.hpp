// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// a = (1 / N) sum over the tokens of k_t / max(||k_t||, 1e-12), for one KV head. Keys that are not finite add nothing.
[[nodiscard]] std::vector<double> mean_direction(row_view auto const& keys, index head) {
  constexpr int channels = head_dim_of<std::decay_t<decltype(keys)>>;
  index const tokens = keys.extent(1);
  std::vector<double> mean(channels, 0.0);
  for (index t = 0; t < tokens; ++t) {
    if (!finite_row(keys, head, t)) continue;
    double const norm = std::max(norm_of(keys, head, t), 1e-12);
    for (int d = 0; d < channels; ++d) mean[static_cast<std::size_t>(d)] += element_at(keys, head, t, d) / norm;
  }
  for (double& m : mean) m /= static_cast<double>(tokens);
  return mean;
}

/// score[t] = -<k_t, a> / (max(||k_t||, 1e-8) max(||a||, 1e-8)), a = mean_direction(keys, head); `score` holds N.
/// A key that is not finite scores NaN; a zero key scores 0.
/// Park et al., "KeyDiff: Key Similarity-Based KV Cache Eviction for Long-Context LLM Inference in
/// Resource-Constrained Environments", arXiv 2504.15364.
void key_diff(row_view auto const& keys, index head, std::span<double> score) {
  constexpr int channels = head_dim_of<std::decay_t<decltype(keys)>>;
  std::vector<double> const mean = mean_direction(keys, head);
  double squares = 0;
  for (double const m : mean) squares += m * m;
  double const mean_norm = std::max(std::sqrt(squares), 1e-8);
  for (std::size_t i = 0; i < score.size(); ++i) {
    index const t = static_cast<index>(i);
    if (!finite_row(keys, head, t)) {
      score[i] = std::numeric_limits<double>::quiet_NaN();
      continue;
    }
    double dot = 0;
    for (int d = 0; d < channels; ++d) dot += element_at(keys, head, t, d) * mean[static_cast<std::size_t>(d)];
    score[i] = -dot / (std::max(norm_of(keys, head, t), 1e-8) * mean_norm);
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
