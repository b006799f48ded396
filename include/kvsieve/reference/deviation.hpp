// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// Standard deviation of a token's probabilities over the queries that saw it, divided by their number: what RoCo
/// ("On the Efficacy of Eviction Policy for Key-Value Constrained Generative Language Model Inference") leaves tokens
/// out of its eviction scope by. 0 where none saw it.
[[nodiscard]] inline double deviation(std::span<double const> p) {
  if (p.empty()) return 0;
  double mean = 0, spread = 0;
  for (double const x : p) mean += x / static_cast<double>(p.size());
  for (double const x : p) spread += (x - mean) * (x - mean) / static_cast<double>(p.size());
  return std::sqrt(spread);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
