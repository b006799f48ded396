// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/chunks.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// The newest page and, as long as `budget` tokens have room for them, the best whole pages of `page` tokens before it
/// (PagedEviction, arXiv 2509.04377).
[[nodiscard]] inline std::vector<int> pages(std::span<double const> score, int page, int budget,
                                            forced_tokens const& forced = {}) {
  int const tokens = static_cast<int>(score.size());
  int newest = 0;
  while (newest + page < tokens) newest += page;
  int fit = 0;
  while (tokens - newest + (fit + 1) * page <= budget) ++fit;
  auto const why = reasons(tokens, forced);
  auto const before = static_cast<std::size_t>(newest);
  auto kept = best_pieces(score.first(before), std::span(why).first(before), page, fit);
  for (int t = newest; t < tokens; ++t) kept.push_back(t);
  return kept;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
