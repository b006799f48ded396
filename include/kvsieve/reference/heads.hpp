// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

#include <kvsieve/reference/group.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = mean over the KV heads of a layer of each[h * tokens + t], TOVA (arXiv 2401.06104): all of them keep the
/// same tokens. `each` holds heads * tokens, `score` tokens.
inline void heads_mean(std::span<double const> each, int heads, std::span<double> score) {
  group_mean(each, heads, score);
}
/// score[t] = sum over the KV heads of a layer of each[h * tokens + t], ChunkKV (arXiv 2502.00299).
inline void heads_sum(std::span<double const> each, int heads, std::span<double> score) {
  group_sum(each, heads, score);
}
/// Scores of all heads [heads * tokens]: score[h * tokens + t] = each[h * tokens + t] + the mean over the heads of
/// each[. * tokens + t], KVCompose.
inline void heads_own_and_mean(std::span<double const> each, int heads, std::span<double> score) {
  std::size_t const tokens = each.size() / static_cast<std::size_t>(heads);
  for (std::size_t t = 0; t < tokens; ++t) {
    double sum = 0;
    for (std::size_t i = t; i < each.size(); i += tokens) sum += each[i];
    for (std::size_t i = t; i < each.size(); i += tokens) score[i] = each[i] + sum / heads;
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
