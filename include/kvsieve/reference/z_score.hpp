// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// Scores of all heads of a layer, in place, in standard deviations from their common mean: (score - mean) /
/// max(deviation, 1e-6), divisor n - 1, deviation 0 for a single score. Scores that are not finite take no part and
/// stay. Compactor, arXiv 2507.08143.
inline void z_score(std::span<double> score) {
  double sum = 0, squares = 0, count = 0;
  for (double const s : score)
    if (std::isfinite(s)) sum += s, count += 1;
  double const mean = count > 0 ? sum / count : 0;
  for (double const s : score)
    if (std::isfinite(s)) squares += (s - mean) * (s - mean);
  double const deviation = count > 1 ? std::sqrt(squares / (count - 1)) : 0;
  for (double& s : score)
    if (std::isfinite(s)) s = (s - mean) / std::max(deviation, 1e-6);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
