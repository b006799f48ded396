// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// CompressKV's layer budgets (TUDa-HWAI/CompressKV), a token at a time: `least` tokens each, the rest of cap * layers
/// by error, rounded half to even and limited to [least, most]; then one token after another to or from the layers that
/// may take or give one, by descending or ascending error, round after round.
[[nodiscard]] inline std::vector<long> layer_errors(std::vector<double> const& error, long cap, long least, long most) {
  auto const n = error.size();
  double sum = 0;
  for (double const x : error) sum += x;
  long const total = cap * static_cast<long>(n);
  std::vector<long> kept(n);
  for (std::size_t l = 0; l < n; ++l) {
    double const part = sum > 0 ? error[l] / sum : 1.0 / static_cast<double>(n);
    double const extra = std::nearbyint(part * static_cast<double>(total - least * static_cast<long>(n)));
    kept[l] = std::clamp(least + static_cast<long>(extra), least, most);
  }
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  long difference = total - std::accumulate(kept.begin(), kept.end(), 0L);
  bool const gives = difference > 0;
  std::stable_sort(order.begin(), order.end(),
                   [&](auto a, auto b) { return gives ? error[a] > error[b] : error[a] < error[b]; });
  for (bool moved = true; difference != 0 && moved;) {
    moved = false;
    for (std::size_t const l : order) {
      if (difference == 0 || (gives ? kept[l] >= most : kept[l] <= least)) continue;
      kept[l] += gives ? 1 : -1;
      difference += gives ? -1 : 1;
      moved = true;
    }
  }
  return kept;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
