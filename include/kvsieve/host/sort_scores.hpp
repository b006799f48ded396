// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole rows of scores in order, for who needs more than the best of them: a radix sort of their keys.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Sorts keys of `ordered`, the largest first; `spare` has room for n of them.
inline void sort_keys(unsigned* keys, unsigned* spare, index n) {
  constexpr int digits = 4, values = 256;
  index first[digits][values] = {};
  for (index i = 0; i < n; ++i)
    for (int d = 0; d < digits; ++d) ++first[d][keys[i] >> 8 * d & 255u];
  unsigned *from = keys, *to = spare;
  for (int d = 0; d < digits; ++d) {
    bool alike = false;  // a digit that all have needs no pass
    index at = 0;
    for (int v = values - 1; v >= 0; --v) {
      index const count = first[d][v];
      alike = alike || count == n;
      first[d][v] = at;
      at += count;
    }
    if (alike) continue;
    for (index i = 0; i < n; ++i) to[first[d][from[i] >> 8 * d & 255u]++] = from[i];
    unsigned* const now = to;
    to = from;
    from = now;
  }
  if (from == keys) return;
  for (index i = 0; i < n; ++i) keys[i] = from[i];
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
