// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// Which heads of a model stream (DuoAttention, arXiv 2410.10819): the round(share * all) with the lowest scores, half
/// to even, the lower index of equal ones.
[[nodiscard]] inline std::vector<bool> streaming_heads(std::vector<double> const& score, double share) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < score.size(); ++i) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return score[a] < score[b]; });
  std::vector<bool> streams(score.size(), false);
  auto const n = static_cast<std::size_t>(std::nearbyint(share * static_cast<double>(score.size())));
  for (std::size_t i = 0; i < n; ++i) streams[order[i]] = true;
  return streams;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
