// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <limits>
#include <span>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t], the same for the tokens of a page: over the query heads [first, first + group) the largest (or the mean)
/// of the page's bound, which is the largest over its parts of the sum over the channels d of max(q_d hi_d, q_d lo_d),
/// hi and lo being the extremes of the keys of the part and q the last query (Quest, LServe). Rows that are not finite,
/// or have a square that is not finite as a float, take no part; such keys score NaN, and so do pages without others.
/// Without a usable query the others score 0.
void page_bound(row_view auto const& keys, row_view auto const& queries, index head, index first, int group, int page,
                int part, bool mean_of_group, std::span<double> score) {
  constexpr int channels = head_dim_of<std::decay_t<decltype(keys)>>;
  auto const usable = [](auto const& rows, index h, index row) {
    double const norm = norm_of(rows, h, row);
    return norm * norm <= static_cast<double>(std::numeric_limits<float>::max());
  };
  int const tokens = static_cast<int>(score.size());
  index const last = queries.extent(1) - 1;
  double const none = -std::numeric_limits<double>::infinity();
  for (int from = 0; from < tokens; from += page) {
    int const to = std::min(from + page, tokens);
    double largest = none, sum = 0;
    int asked = 0, counted = 0;
    for (int t = from; t < to; ++t) counted += usable(keys, head, t);
    for (index q = first; q < first + group; ++q) {
      if (!usable(queries, q, last)) continue;
      double bound = none;
      for (int begin = from; begin < to; begin += part) {
        double of_part = 0;
        bool any = false;
        for (int d = 0; d < channels; ++d) {
          double hi = none, lo = -none;
          for (int t = begin; t < std::min(begin + part, to); ++t)
            if (usable(keys, head, t)) {
              hi = std::max(hi, element_at(keys, head, t, d));
              lo = std::min(lo, element_at(keys, head, t, d));
              any = true;
            }
          double const x = element_at(queries, q, last, d);
          if (any) of_part += std::max(x * hi, x * lo);
        }
        if (any) bound = std::max(bound, of_part);
      }
      largest = std::max(largest, bound);
      sum += bound;
      ++asked;
    }
    for (int t = from; t < to; ++t) {
      double const joined = asked == 0 ? 0 : mean_of_group ? sum / asked : largest;
      score[static_cast<std::size_t>(t)] =
          counted > 0 && usable(keys, head, t) ? joined : std::numeric_limits<double>::quiet_NaN();
    }
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
