// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole rows of scores in order, for who needs more than the best of them.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Sorts keys, the largest first, by their place between the largest and the smallest, where that spreads them well:
/// a pass instead of four. False, and nothing done, where it does not.
inline bool sort_spread(unsigned* keys, unsigned* spare, index n) {
  constexpr int most_bits = 11;
  constexpr unsigned most_alike = 16;
  unsigned low = ~0u, high = 0;
  for (index i = 0; i < n; ++i) {
    low = keys[i] < low ? keys[i] : low;
    high = keys[i] < high ? high : keys[i];
  }
  if (low >= high) return true;
  // About as many places as keys.
  int const wanted = 64 - cs::countl_zero(static_cast<cs::uint64_t>(n)), used = wanted < most_bits ? wanted : most_bits;
  int const bits = 32 - cs::countl_zero(high - low), shift = bits > used ? bits - used : 0;
  unsigned const values = ((high - low) >> shift) + 1;
  unsigned first[1 << most_bits];
  for (unsigned v = 0; v < values; ++v) first[v] = 0;
  for (index i = 0; i < n; ++i) ++first[(high - keys[i]) >> shift];
  for (unsigned v = 0, at = 0; v < values; ++v) {
    unsigned const count = first[v];
    if (count > most_alike) return false;
    first[v] = at;
    at += count;
  }
  for (index i = 0; i < n; ++i) spare[first[(high - keys[i]) >> shift]++] = keys[i];
  for (index i = 0; i < n; ++i) {
    unsigned const k = spare[i];
    index at = i;
    for (; at > 0 && keys[at - 1] < k; --at) keys[at] = keys[at - 1];
    keys[at] = k;
  }
  return true;
}
}  // namespace detail

/// Sorts keys of `ordered`, the largest first; `spare` has room for n of them.
inline void sort_keys(unsigned* keys, unsigned* spare, index n) {
  if (detail::sort_spread(keys, spare, n)) return;
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
