// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// Tokens of each head of the model, the window among them (HeadKV as KVCache-Factory has it, arXiv 2410.19258): a part
/// of cap from a pool by importance, the rest alike, the window on top.
[[nodiscard]] inline std::vector<int> head_importance(std::vector<double> const& importance, long cap, double beta,
                                                      int window, int tokens) {
  if (tokens - window < cap - window || tokens <= window) return std::vector<int>(importance.size(), tokens);
  double sum = 0;
  for (double const x : importance) sum += x;
  double const low = std::floor(static_cast<double>(cap) / beta), pool = low * static_cast<double>(importance.size());
  std::vector<int> count;
  for (double const x : importance) {
    double const volatile share = x / sum * pool;  // rounded by itself, as an interpreter does
    double const own = std::nearbyint(share + (static_cast<double>(cap) - low));
    count.push_back(window + static_cast<int>(std::clamp(own, 0.0, static_cast<double>(tokens - window))));
  }
  return count;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
