// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Attention probabilities of the last `observed` queries of one query head over the keys of its KV head:
/// p[i * N + t] = exp(z_it) / sum over the visible t' of exp(z_it'), z_it = <q_i, k_t> / sqrt(D); `p` holds observed *
/// N. Observed query i stands at position N - observed + i and sees the keys up to it; for the others p is 0. A key
/// that is not finite is NaN in all its rows and takes no mass from the others; a query that is not finite gives every
/// finite key 0. The scores of SnapKV (arXiv 2404.14469), H2O (arXiv 2306.14048) and TOVA (arXiv 2401.06104) are folds
/// of these.
void attention(row_view auto const& queries, index query_head, row_view auto const& keys, index head, int observed,
               std::span<double> p) {
  constexpr int channels = head_dim_of<std::decay_t<decltype(keys)>>;
  index const tokens = keys.extent(1), first_query = queries.extent(1) - observed;
  std::fill(p.begin(), p.end(), 0.0);
  // Read once, not for every query.
  std::vector<double> key(static_cast<std::size_t>(tokens * channels)), query(channels);
  std::vector<bool> usable(static_cast<std::size_t>(tokens));
  for (index t = 0; t < tokens; ++t) {
    usable[static_cast<std::size_t>(t)] = finite_row(keys, head, t);
    for (int d = 0; d < channels; ++d) key[static_cast<std::size_t>(t * channels + d)] = element_at(keys, head, t, d);
  }
  for (int i = 0; i < observed; ++i) {
    std::span<double> const row = p.subspan(static_cast<std::size_t>(i * tokens), static_cast<std::size_t>(tokens));
    index const visible = tokens - observed + i + 1;
    bool const passed_over = !finite_row(queries, query_head, first_query + i);
    double largest = -std::numeric_limits<double>::infinity(), mass = 0;
    for (int d = 0; d < channels; ++d)
      query[static_cast<std::size_t>(d)] = element_at(queries, query_head, first_query + i, d);
    for (index t = 0; t < tokens; ++t) {
      double& z = row[static_cast<std::size_t>(t)];
      if (!usable[static_cast<std::size_t>(t)]) {
        z = std::numeric_limits<double>::quiet_NaN();
        continue;
      }
      if (passed_over || t >= visible) continue;
      double const* const k = key.data() + t * channels;
      for (int d = 0; d < channels; ++d) z += query[static_cast<std::size_t>(d)] * k[d];
      z /= std::sqrt(static_cast<double>(channels));
      largest = std::max(largest, z);
    }
    if (passed_over) continue;
    for (index t = 0; t < visible; ++t) {
      double& z = row[static_cast<std::size_t>(t)];
      if (std::isnan(z)) continue;
      z = std::exp(z - largest);
      mass += z;
    }
    for (index t = 0; t < visible; ++t) row[static_cast<std::size_t>(t)] /= mass;
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
