// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ZeroMerge's state behind the prompt, one head.
#pragma once
#include <algorithm>
#include <vector>

#include <kvsieve/reference/merge.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// The evicted tokens in `residual` groups of consecutive ones, the first ones longer by one where they do not divide;
/// no more groups than tokens. Rows: mean key and value of each group, then the kept tokens; mass: tokens of a row.
/// Rows that are not finite do not count; a group of nothing else is its first token.
[[nodiscard]] inline merged_head zero_merge(head_to_merge const& h, int residual) {
  int const evicted = static_cast<int>(h.evicted.size()), groups = std::min(residual, evicted);
  merged_head m;
  int next = 0;
  for (int g = 0; g < groups; ++g) {
    int const size = evicted / groups + (g < evicted % groups ? 1 : 0);
    std::vector<double> keys(h.keys[0].size()), values(h.keys[0].size());
    double used = 0;
    int const first = h.evicted[static_cast<std::size_t>(next)];
    for (int i = 0; i < size; ++i) {
      int const e = h.evicted[static_cast<std::size_t>(next++)];
      if (!usable(h.key(e)) || !usable(h.value(e))) continue;
      for (std::size_t d = 0; d < keys.size(); ++d) {
        keys[d] += h.key(e)[d];
        values[d] += h.value(e)[d];
      }
      ++used;
    }
    for (std::size_t d = 0; d < keys.size(); ++d) {
      keys[d] = used == 0 ? h.key(first)[d] : keys[d] / used;
      values[d] = used == 0 ? h.value(first)[d] : values[d] / used;
    }
    m.keys.push_back(keys);
    m.values.push_back(values);
    m.mass.push_back(std::max(used, 1.0));
  }
  merged_head const kept = keep_rows(h);
  m.keys.insert(m.keys.end(), kept.keys.begin(), kept.keys.end());
  m.values.insert(m.values.end(), kept.values.begin(), kept.values.end());
  m.mass.insert(m.mass.end(), kept.mass.begin(), kept.mass.end());
  return m;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
