// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = the largest i with p[i * tokens + t] >= threshold / (keys that query i sees), -1 where there is none:
/// what CORM (arXiv 2404.15949) tells long-term minor keys by, at threshold 1; NaN where p is. Query i sees
/// tokens - observed + i + 1 keys. `p` holds observed * tokens probabilities, `score` tokens.
inline void last_above(std::span<double const> p, int observed, double threshold, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    score[t] = -1;
    for (std::size_t i = 0; i < static_cast<std::size_t>(observed); ++i) {
      double const each = p[i * score.size() + t];
      double const visible = static_cast<double>(score.size() - static_cast<std::size_t>(observed) + i + 1);
      if (std::isnan(each)) score[t] = each;
      if (each >= threshold / visible) score[t] = static_cast<double>(i);
    }
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
