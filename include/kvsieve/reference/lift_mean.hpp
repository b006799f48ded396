// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// Lifts the scores of one head, in place, to their mean: score[t] = max(score[t], mean). Scores that are not finite
/// take no part and stay. The defensive prior of DefensiveKV.
inline void lift_mean(std::span<double> score) {
  double sum = 0;
  int count = 0;
  for (double const s : score)
    if (std::isfinite(s)) sum += s, ++count;
  double const mean = count > 0 ? sum / count : 0;
  for (double& s : score)
    if (std::isfinite(s) && s < mean) s = mean;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
