// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/over_all.hpp>

#include <numeric>

namespace kvsieve::inline v0 {
namespace reference {

/// Tokens of each head of one layer, AdaKV as kvpress 0.5.5 has it (arXiv 2407.11550): `mean` tokens a head on average.
/// Each head's best floor(mean * safeguard) are marked to stay, forced tokens first, then the best of all are taken.
[[nodiscard]] inline std::vector<int> over_heads(std::vector<ranked_row> rows, int mean, double safeguard) {
  long const total = static_cast<long>(rows.size()) * mean;
  long forced = 0;
  for (auto const& r : rows) forced += std::count(r.stays.begin(), r.stays.end(), true);
  if (total >= forced)
    for (auto& r : rows) {
      long left = static_cast<long>(std::floor(mean * safeguard)) - std::count(r.stays.begin(), r.stays.end(), true);
      std::vector<std::size_t> order(r.score.size());
      std::iota(order.begin(), order.end(), std::size_t{0});
      std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        if (std::isnan(r.score[a]) || std::isnan(r.score[b])) return !std::isnan(r.score[a]) && std::isnan(r.score[b]);
        return r.score[a] > r.score[b];
      });
      for (std::size_t const i : order)
        if (left > 0 && !r.stays[i]) {
          r.stays[i] = true;
          --left;
        }
    }
  return over_all(rows, total);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
