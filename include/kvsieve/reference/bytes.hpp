// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <vector>

#include <kvsieve/reference/layer_scores.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Tokens that each head of each view keeps where all rows together take at most `bytes`: floor(bytes / (heads *
/// row_bytes)) a head, split in proportion to the views' tokens.
[[nodiscard]] inline std::vector<long> bytes(long bytes, long row_bytes, int heads, std::vector<long> const& tokens) {
  long all = 0;
  for (long const n : tokens) all += n;
  return apportion(std::min(bytes / (row_bytes * heads), all), tokens, tokens);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
