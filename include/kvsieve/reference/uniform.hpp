// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>

namespace kvsieve::inline v0 {
namespace reference {

/// Tokens that every head keeps out of `tokens`: `limit` (at most all) where that is not negative, else
/// floor(tokens * keep) with the product formed in double and not corrected.
[[nodiscard]] inline int uniform(double keep, int limit, int tokens) {
  if (limit >= 0) return std::min(limit, tokens);
  return static_cast<int>(std::floor(tokens * keep));
}
}  // namespace reference
}  // namespace kvsieve::inline v0
