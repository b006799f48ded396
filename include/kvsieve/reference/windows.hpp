// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/chunks.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Windows of `length` tokens before the last `suffix` ones: ceil((R - room) / length) of them go, R tokens lying
/// before the suffix and room being what `budget` leaves beside it; the suffix stays, its newest tokens where the
/// budget is less (WindowKV, arXiv 2503.17922).
[[nodiscard]] inline std::vector<int> windows(std::span<double const> score, int length, int suffix, int budget,
                                              forced_tokens const& forced = {}) {
  int const tokens = static_cast<int>(score.size()), before = tokens - suffix;
  int const room = std::max(0, budget - suffix), all = (before + length - 1) / length;
  int drop = 0;
  while (before - drop * length > room) ++drop;
  auto const why = reasons(tokens, forced);
  auto const n = static_cast<std::size_t>(before);
  auto kept = best_pieces(score.first(n), std::span(why).first(n), length, std::max(0, all - drop));
  for (int t = tokens - std::min(suffix, budget); t < tokens; ++t) kept.push_back(t);
  return kept;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
