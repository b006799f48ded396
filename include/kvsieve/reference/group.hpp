// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <limits>
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = sum over the group's query heads of each[g * tokens + t]; `each` holds heads * tokens, `score` tokens.
inline void group_sum(std::span<double const> each, int heads, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    score[t] = 0;
    for (std::size_t g = 0; g < static_cast<std::size_t>(heads); ++g) score[t] += each[g * score.size() + t];
  }
}

/// score[t] = mean over the group's query heads of each[g * tokens + t].
inline void group_mean(std::span<double const> each, int heads, std::span<double> score) {
  group_sum(each, heads, score);
  for (double& s : score) s /= heads;
}

/// score[t] = largest of the group's query heads of each[g * tokens + t].
inline void group_max(std::span<double const> each, int heads, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    score[t] = each[t];
    for (std::size_t g = 1; g < static_cast<std::size_t>(heads); ++g)
      score[t] = std::max(score[t], each[g * score.size() + t]);
  }
}
/// score[t] = largest of weight[g * tokens + t] * each[g * tokens + t] over the query heads of the group; NaN where one
/// is. KVzip's normalised variant, after its maximum over the queries.
inline void group_max_weighed(std::span<double const> each, std::span<double const> weight, int group,
                              std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    score[t] = -std::numeric_limits<double>::infinity();
    for (std::size_t g = 0; g < static_cast<std::size_t>(group); ++g) {
      double const x = weight[g * score.size() + t] * each[g * score.size() + t];
      if (!(x <= score[t])) score[t] = x;
    }
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
