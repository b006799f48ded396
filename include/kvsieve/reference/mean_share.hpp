// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = mean over the observed queries i of p[i * tokens + t] * keys(i), keys(i) = tokens - observed + i + 1
/// being the keys that query i sees, or one less with `before_only`. FINCH as kvpress has it. `p` holds observed *
/// tokens probabilities, `score` tokens.
inline void mean_share(std::span<double const> p, int observed, bool before_only, std::span<double> score) {
  auto const tokens = static_cast<int>(score.size());
  for (int t = 0; t < tokens; ++t) {
    double sum = 0;
    for (int i = 0; i < observed; ++i)
      sum += p[static_cast<std::size_t>(i) * score.size() + static_cast<std::size_t>(t)] *
             (tokens - observed + i + (before_only ? 0 : 1));
    score[static_cast<std::size_t>(t)] = sum / observed;
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
