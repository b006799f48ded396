// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which neighbours are linked where an exact number of links is asked for: single-link clustering of a row, in
// select::runs and in the merging of its runs.
#pragma once
#include <kvsieve/host/select/top_k.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Writes the `wanted` pairs with the largest cosines to `joined`, ascending, each as the first of its two tokens;
/// equal ones go to the smaller index. Pairs with a protected token, and those without a cosine, are not linked, so it
/// may be fewer.
/// @param link    [tokens] the cosine of the keys of t and t + 1 at t
/// @param safe    protected tokens, ascending
/// @param value   scratch [tokens]
/// @returns how many
inline int choose_links(float const* link, int tokens, int const* safe, int safe_count, int wanted, float* value,
                        int* joined, top_k_scratch const& scratch) {
  int const pairs = tokens - 1;
  for (int t = 0; t < pairs; ++t) value[t] = link[t];
  for (int i = 0; i < safe_count; ++i) {
    if (safe[i] > 0) value[safe[i] - 1] = __builtin_nanf("");
    if (safe[i] < pairs) value[safe[i]] = __builtin_nanf("");
  }
  int eligible = 0;
  for (int t = 0; t < pairs; ++t) eligible += value[t] == value[t] ? 1 : 0;
  int const count = wanted < eligible ? wanted : eligible;
  if (count > 0) top_k(value, pairs, count, forced_set{pairs}, 0, joined, scratch);
  return count < 0 ? 0 : count;
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
