// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/top_k.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// floor(keep * first) tokens, or the forced ones where these are more, by the plain score, the others by the weighted
/// one (CriticalKV, arXiv 2502.03805).
[[nodiscard]] inline std::vector<int> two_stage(std::span<double const> plain, std::span<double const> weighed,
                                                int keep, double first, forced_tokens const& forced = {}) {
  int forced_count = 0;
  for (reason const r : reasons(static_cast<int>(plain.size()), forced)) forced_count += r != reason::score;
  int const by_plain = std::max(static_cast<int>(std::floor(keep * first)), std::min(forced_count, keep));
  std::vector<int> const stage = top_k(plain, by_plain, forced);
  return top_k(weighed, keep, {0, 0, stage});
}
}  // namespace reference
}  // namespace kvsieve::inline v0
