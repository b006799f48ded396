// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// Step 7 of DefensiveKV's score (FFY0/DefensiveKV) for a layer: `score` and the mean attention `mean` hold a row of
/// past tokens for each KV head, the `tail` tokens behind them are not in it. With p = mean / (sum of the row) sorted,
/// the largest first and the smaller index where they are equal, and C its running sum, the first min(r0, most) tokens
/// get the largest score of the layer: r0 is the first place with C >= min(share - w, 1), and most = max(0, floor(past
/// * kept - tail)). w is 1 less the mean over the heads of the sum of `mean`, which is what the tail got; `as_source`
/// takes the sum over the last min(tail, past) tokens. Attention that is not a number counts 0, and scores that are not
/// stay.
inline void protect_mass(std::vector<std::vector<double>>& score, std::vector<std::vector<double>> const& mean,
                         double share, double kept, int tail, bool as_source) {
  double outside = 0, largest = -HUGE_VAL;
  for (std::size_t h = 0; h < score.size(); ++h) {
    std::size_t const past = score[h].size();
    double all = 0, last = 0;
    for (std::size_t t = 0; t < past; ++t) {
      double const a = std::isfinite(mean[h][t]) ? mean[h][t] : 0;
      all += a;
      if (t + static_cast<std::size_t>(tail) >= past) last += a;
      if (std::isfinite(score[h][t])) largest = std::max(largest, score[h][t]);
    }
    outside += (as_source ? last : 1 - all) / static_cast<double>(score.size());
  }
  for (std::size_t h = 0; h < score.size(); ++h) {
    std::vector<std::size_t> order;
    double all = 0, running = 0;
    double const crossing = std::min(share - outside, 1.0);
    for (std::size_t t = 0; t < score[h].size(); ++t)
      if (std::isfinite(mean[h][t]) && mean[h][t] > 0) order.push_back(t), all += mean[h][t];
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return mean[h][a] > mean[h][b]; });
    double const most = std::max(0.0, std::floor(static_cast<double>(score[h].size()) * kept - tail));
    for (std::size_t r = 0; r < order.size() && static_cast<double>(r) < most; ++r) {
      running += mean[h][order[r]];
      if (running >= crossing * all) break;
      if (std::isfinite(score[h][order[r]])) score[h][order[r]] = largest;
    }
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
