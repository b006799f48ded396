// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = sqrt(mean over the observed queries of p[i * tokens + t]^2).
/// `p` holds observed * tokens probabilities, `score` tokens.
inline void root_mean_square(std::span<double const> p, int observed, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    double squares = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(observed); ++i)
      squares += p[i * score.size() + t] * p[i * score.size() + t];
    score[t] = std::sqrt(squares / observed);
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
