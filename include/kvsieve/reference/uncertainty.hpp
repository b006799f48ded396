// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// The smallest attention that a head needs (ZigZagKV, arXiv 2412.09036): 1 + how many of the running sums over its
/// positive scores, the largest first, lie below `mass` of their sum; at most all tokens.
[[nodiscard]] inline long tokens_for_mass(std::vector<double> score, double mass) {
  for (double& x : score) x = std::isfinite(x) ? std::max(x, 0.0) : 0.0;
  std::sort(score.begin(), score.end(), std::greater<>{});
  double sum = 0, running = 0;
  for (double const x : score) sum += x;
  long below = 0;
  for (double const x : score) below += (running += x) < mass * sum;
  return std::min(below + 1, static_cast<long>(score.size()));
}

/// Budgets of layers by what their heads need on average, as real numbers: least * mean for each, the rest of layers *
/// mean in proportion to `need`; no limits yet.
[[nodiscard]] inline std::vector<double> uncertainty(std::vector<double> const& need, double mean, double least) {
  double sum = 0;
  for (double const x : need) sum += x;
  std::vector<double> budget;
  auto const layers = static_cast<double>(need.size());
  for (double const x : need) budget.push_back(sum > 0 ? least * mean + (1 - least) * mean * layers * x / sum : mean);
  return budget;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
