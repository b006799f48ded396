// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/top_k.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Top-k inside each span [begin[i], begin[i + 1]) of a row, quota[i] of it; the last span ends with the row.
[[nodiscard]] inline std::vector<int> top_k_of_each(std::span<double const> score, std::span<int const> begin,
                                                    std::span<int const> quota, forced_tokens const& forced) {
  auto const why = reasons(static_cast<int>(score.size()), forced);
  std::vector<int> kept;
  for (std::size_t i = 0; i < begin.size(); ++i) {
    auto const from = static_cast<std::size_t>(begin[i]);
    auto const to = i + 1 < begin.size() ? static_cast<std::size_t>(begin[i + 1]) : score.size();
    for (int const t : best(score.subspan(from, to - from), quota[i], std::span(why).subspan(from, to - from)))
      kept.push_back(begin[i] + t);
  }
  return kept;
}

/// Of each chunk of `length` tokens the best max(1, floor(n * keep)), n being its tokens (kvpress's ChunkPress).
[[nodiscard]] inline std::vector<int> top_k_in_chunks(std::span<double const> score, int length, double keep,
                                                      forced_tokens const& forced = {}) {
  int const tokens = static_cast<int>(score.size());
  std::vector<int> begin, quota;
  for (int t = 0; t < tokens; t += length) {
    begin.push_back(t);
    quota.push_back(std::max(1, static_cast<int>(std::floor(std::min(length, tokens - t) * keep))));
  }
  return top_k_of_each(score, begin, quota, forced);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
