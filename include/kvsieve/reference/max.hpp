// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Two policies have this name: the largest over the queries, and the largest over neighbours.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = largest p[i * tokens + t] of the observed queries; NaN where all are NaN.
/// `p` holds observed * tokens probabilities, `score` tokens.
inline void max(std::span<double const> p, int observed, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    score[t] = p[t];
    for (std::size_t i = 1; i < static_cast<std::size_t>(observed); ++i)
      score[t] = std::fmax(score[t], p[i * score.size() + t]);
  }
}

/// pooled[t] = largest score in [t - kernel / 2, t + kernel / 2].
/// A score that is not finite stays as it is and adds nothing to its neighbours.
inline void max_pool(std::span<double const> score, int kernel, std::span<double> pooled) {
  int const tokens = static_cast<int>(score.size()), reach = kernel / 2;
  for (int t = 0; t < tokens; ++t) {
    double& out = pooled[static_cast<std::size_t>(t)];
    out = score[static_cast<std::size_t>(t)];
    if (!std::isfinite(out)) continue;
    for (int i = std::max(0, t - reach); i <= std::min(tokens - 1, t + reach); ++i) {
      double const neighbour = score[static_cast<std::size_t>(i)];
      if (std::isfinite(neighbour)) out = std::max(out, neighbour);
    }
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
