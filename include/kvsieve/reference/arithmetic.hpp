// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// Tokens of each of `layers` layers (WindowKV, optim996/WindowKV models/compress_utils.py): `group` layers alike, the
/// last group cap * group // beta, the first 2 * cap less that, whole steps between. One group, where the source
/// divides by zero, keeps cap. Cut to [0, tokens].
[[nodiscard]] inline std::vector<int> arithmetic(long cap, long beta, int group, int layers, int tokens) {
  int const groups = static_cast<int>(std::ceil(static_cast<double>(layers) / group));
  std::vector<long> of_group(static_cast<std::size_t>(groups), cap);
  if (groups > 1) {
    long const last = cap * group / beta, first = 2 * cap - last;
    long const step = static_cast<long>(std::floor(static_cast<double>(first - last) / (groups - 1)));
    for (int u = 0; u < groups - 1; ++u) of_group[static_cast<std::size_t>(u)] = first - u * step;
    of_group.back() = last;
  }
  std::vector<int> count;
  for (int l = 0; l < layers; ++l)
    count.push_back(static_cast<int>(std::clamp(of_group[static_cast<std::size_t>(l / group)], 0L, long{tokens})));
  return count;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
