// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// LazyEviction's importance (arXiv 2506.15969) after `observed` steps, step s being observed query s - 1. Every token
/// starts with last = (the step before the first that sees it; 0 for those that were there before) and gap = 0; a step
/// with p >= threshold sets gap = max(gap, s - last) and last = s. Then, with e = observed - last,
///   score[t] = 2 / (1 + exp(1 + e / (gap + 1e-5))) + (2 / (1 + exp(gap - 1)), 0 where gap is 0),
/// NaN where p is. `p` holds observed * tokens probabilities, `score` tokens.
inline void last_above_with_gap(std::span<double const> p, int observed, double threshold, std::span<double> score) {
  int const tokens = static_cast<int>(score.size());
  for (int t = 0; t < tokens; ++t) {
    int last = std::max(0, t - (tokens - observed)), gap = 0;
    double& out = score[static_cast<std::size_t>(t)];
    for (int s = 1; s <= observed; ++s)
      if (p[static_cast<std::size_t>(s - 1) * score.size() + static_cast<std::size_t>(t)] >= threshold) {
        gap = std::max(gap, s - last);
        last = s;
      }
    out = 2 / (1 + std::exp(1 + (observed - last) / (gap + 1e-5)));
    if (gap > 0) out += 2 / (1 + std::exp(gap - 1.0));
    if (std::isnan(p[static_cast<std::size_t>(t)])) out = p[static_cast<std::size_t>(t)];
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
