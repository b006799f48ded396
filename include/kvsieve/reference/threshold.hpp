// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/top_k.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Forced tokens and those that score at least `least` stay; a NaN does not.
[[nodiscard]] inline std::vector<int> threshold(std::span<double const> score, double least,
                                                forced_tokens const& forced) {
  int const tokens = static_cast<int>(score.size());
  std::vector<int> kept;
  for (int t = 0; t < tokens; ++t)
    if (reason_of(t, tokens, forced) != reason::score || score[static_cast<std::size_t>(t)] >= least) kept.push_back(t);
  return kept;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
