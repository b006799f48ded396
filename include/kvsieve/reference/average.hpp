// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// pooled[t] = sum of the scores in [t - kernel / 2, t + kernel / 2], divided by kernel; beyond the ends counts 0 and
/// is divided by as well. A score that is not finite stays as it is and adds nothing to its neighbours. SnapKV, arXiv
/// 2404.14469.
inline void average_pool(std::span<double const> score, int kernel, std::span<double> pooled) {
  int const tokens = static_cast<int>(score.size()), reach = kernel / 2;
  for (int t = 0; t < tokens; ++t) {
    double& out = pooled[static_cast<std::size_t>(t)];
    out = score[static_cast<std::size_t>(t)];
    if (!std::isfinite(out)) continue;
    out = 0;
    for (int i = std::max(0, t - reach); i <= std::min(tokens - 1, t + reach); ++i) {
      double const neighbour = score[static_cast<std::size_t>(i)];
      if (std::isfinite(neighbour)) out += neighbour;
    }
    out /= kernel;
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
