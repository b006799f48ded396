// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = mean of each[h * tokens + t] over the chosen query heads h of a layer. `each` holds query heads * tokens
/// numbers, `score` tokens. CompressKV's online score, before its pooling.
inline void group_chosen(std::span<double const> each, std::span<int const> chosen, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    score[t] = 0;
    for (int const h : chosen) score[t] += each[static_cast<std::size_t>(h) * score.size() + t];
    score[t] /= static_cast<double>(chosen.size());
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
