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
}  // namespace reference
}  // namespace kvsieve::inline v0
