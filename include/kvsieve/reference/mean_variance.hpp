// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = mean + gamma * variance over the observed queries of p[i * tokens + t], the variance divided by observed
/// - 1: the indicator of CAKE (ICLR 2025). `p` holds observed * tokens probabilities, `score` tokens; observed >= 2.
inline void mean_variance(std::span<double const> p, int observed, double gamma, std::span<double> score) {
  auto const queries = static_cast<std::size_t>(observed);
  for (std::size_t t = 0; t < score.size(); ++t) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < queries; ++i) mean += p[i * score.size() + t] / observed;
    for (std::size_t i = 0; i < queries; ++i)
      variance += (p[i * score.size() + t] - mean) * (p[i * score.size() + t] - mean) / (observed - 1);
    score[t] = mean + gamma * variance;
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
