// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = sum over the observed queries of p[i * tokens + t]: accumulated attention, H2O (arXiv 2306.14048).
/// `p` holds observed * tokens probabilities, `score` tokens.
inline void sum(std::span<double const> p, int observed, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    score[t] = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(observed); ++i) score[t] += p[i * score.size() + t];
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
