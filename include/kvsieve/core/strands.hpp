// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sums in double of an order that does not depend on who adds: one CPU thread, or the threads of a block.
#pragma once
#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {

/// Term i of a sum belongs to strand i % strands. Terms of a strand are added in ascending order, then the strands.
inline constexpr int strands = 256;

/// The sum of n terms by one thread; add(sum, i) gives `sum` with term i added.
template <class Add>
[[nodiscard]] double sum_of_strands(int n, Add const& add) {
  double strand[strands] = {};
  int first = 0;
  for (; n - first >= strands; first += strands)
    for (int s = 0; s < strands; ++s) strand[s] = add(strand[s], first + s);
  for (int s = 0; s < n - first; ++s) strand[s] = add(strand[s], first + s);
  double sum = 0;
  for (double const x : strand) sum += x;
  return sum;
}
}  // namespace kvsieve::inline v0
