// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which tokens stay whatever their score, and what happens when the budget is smaller than that.
#pragma once
#include <cuda/std/span>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {

/// Forced tokens of a head with `tokens` tokens: the first `sink`, the last `recent`, and a white list.
struct forced_tokens {
  int tokens = 0, sink = 0, recent = 0;
  ::cuda::std::span<int const> white_list{};  ///< ascending, each in [0, tokens)

  [[nodiscard]] KVSIEVE_HD constexpr bool listed(int t) const {
    int low = 0, high = static_cast<int>(white_list.size());
    while (low < high) {
      int const middle = (low + high) / 2;
      if (white_list[static_cast<::cuda::std::size_t>(middle)] < t) low = middle + 1;
      else high = middle;
    }
    return low < static_cast<int>(white_list.size()) && white_list[static_cast<::cuda::std::size_t>(low)] == t;
  }
  [[nodiscard]] KVSIEVE_HD constexpr bool contains(int t) const {
    return t < sink || t >= tokens - recent || (!white_list.empty() && listed(t));
  }
  /// How many tokens are forced.
  [[nodiscard]] KVSIEVE_HD constexpr int count() const {
    if (sink + recent >= tokens) return tokens;
    int n = sink + recent;
    for (int const t : white_list) n += t >= sink && t < tokens - recent;
    return n;
  }
  /// The same within a budget: recent tokens go first, the oldest of them first; then sinks, the last of them first;
  /// then the white list, its largest index first.
  [[nodiscard]] KVSIEVE_HD constexpr forced_tokens within(int budget) const {
    forced_tokens f = *this;
    if (f.sink > tokens) f.sink = tokens;
    if (f.recent > tokens - f.sink) f.recent = tokens - f.sink;
    while (f.count() > budget && f.recent > 0) --f.recent;
    while (f.count() > budget && f.sink > 0) --f.sink;
    if (f.count() > budget) f.white_list = f.white_list.first(static_cast<::cuda::std::size_t>(budget));
    return f;
  }
};
}  // namespace kvsieve::inline v0
