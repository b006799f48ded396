// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// Steps 3 and 4 of DefensiveKV's score (FFY0/DefensiveKV): for each observed query i, with M = tokens - unscored past
/// tokens and reach = kernel / 2,
///   Q[i, t] = sum of p[i, max(0, t - reach) .. min(M - 1, t + reach)] / kernel,
///   R[i, t] = Q[i, t] / (sum over t < M of Q[i, t]) * (sum over t < M of p[i, t]),  0 where a query gives them
///   nothing,
/// and score[t] = largest R[i, t] over the queries, 0 for t >= M. A token of which p is NaN is NaN and gives its
/// neighbours nothing. `p` holds observed * tokens probabilities, `score` tokens.
inline void worst_case(std::span<double const> p, int observed, int unscored, int kernel, std::span<double> score) {
  int const past = static_cast<int>(score.size()) - unscored, reach = kernel / 2;
  std::fill(score.begin(), score.end(), 0.0);
  std::vector<double> pooled(score.size());
  for (int i = 0; i < observed; ++i) {
    auto const row = p.subspan(static_cast<std::size_t>(i) * score.size(), score.size());
    double mass = 0, spread = 0;
    for (int t = 0; t < past; ++t) {
      double& q = pooled[static_cast<std::size_t>(t)];
      q = 0;
      for (int s = std::max(0, t - reach); s <= std::min(past - 1, t + reach); ++s)
        if (double const x = row[static_cast<std::size_t>(s)]; !std::isnan(x)) q += x / kernel;
      spread += q;
      if (double const x = row[static_cast<std::size_t>(t)]; !std::isnan(x)) mass += x;
    }
    for (std::size_t t = 0; t < static_cast<std::size_t>(past); ++t)
      if (spread > 0) score[t] = std::max(score[t], pooled[t] / spread * mass);
  }
  for (std::size_t t = 0; t < score.size(); ++t)
    if (std::isnan(p[t])) score[t] = p[t];
}
}  // namespace reference
}  // namespace kvsieve::inline v0
