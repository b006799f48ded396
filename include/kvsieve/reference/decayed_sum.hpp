// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = sum over the observed queries of decay^(observed - 1 - i) * p[i * tokens + t]: the running sum S = decay
/// S
/// + p of Scissorhands (arXiv 2305.17118) after the last query. `p` holds observed * tokens probabilities, `score`
/// tokens.
inline void decayed_sum(std::span<double const> p, int observed, double decay, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    score[t] = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(observed); ++i)
      score[t] = decay * score[t] + p[i * score.size() + t];
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
