// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Adds to score[t], for the tokens of the chunk [from, to), `share` times the sum over the chunk's queries of one
/// query head of the softmax of <q_i, k_t> over the chunk's keys. With `filled_to` above to - from, rows of zeros fill
/// the chunk up to that many and take part. The queries are those of the last positions. A key that is not finite
/// scores NaN and gets no mass, a query that is not finite gives nothing. Compactor, arXiv 2507.08143, as kvpress's
/// NonCausalAttnPress.
void non_causal_attention(row_view auto const& queries, index query_head, row_view auto const& keys, index head,
                          int from, int to, int filled_to, double share, std::span<double> score) {
  constexpr int channels = head_dim_of<std::decay_t<decltype(keys)>>;
  index const first_query = queries.extent(1) - keys.extent(1);
  int const absent = std::max(filled_to - (to - from), 0);
  for (int t = from; t < to; ++t) score[static_cast<std::size_t>(t)] += share * absent / (to - from + absent);
  std::vector<bool> usable;
  for (int t = from; t < to; ++t) usable.push_back(finite_row(keys, head, t));
  for (int i = from; i < to; ++i) {
    std::vector<double> z;
    double largest = absent > 0 ? 0 : -std::numeric_limits<double>::infinity();
    for (int t = from; t < to; ++t) {
      double dot = 0;
      for (int d = 0; d < channels; ++d)
        dot += element_at(queries, query_head, first_query + i, d) * element_at(keys, head, t, d);
      z.push_back(usable[static_cast<std::size_t>(t - from)] ? dot : std::numeric_limits<double>::quiet_NaN());
      if (!std::isnan(z.back())) largest = std::max(largest, z.back());
    }
    bool const passed_over = !finite_row(queries, query_head, first_query + i);
    double mass = absent > 0 ? absent * std::exp(0 - largest) : 0;
    for (double const x : z) mass += std::isnan(x) ? 0 : std::exp(x - largest);
    for (int t = from; t < to; ++t) {
      double const x = z[static_cast<std::size_t>(t - from)];
      if (!usable[static_cast<std::size_t>(t - from)])
        score[static_cast<std::size_t>(t)] = std::numeric_limits<double>::quiet_NaN();
      else if (!passed_over)
        score[static_cast<std::size_t>(t)] += share * std::exp(x - largest) / mass;
    }
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
