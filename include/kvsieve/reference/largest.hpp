// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Probabilities of one position of a query group over the first `seen` keys of its KV head: p_t = softmax over t of
/// the largest <q_g, k_t> / sqrt(D) of the group's query heads (R-KV, arXiv 2505.24133, its code). `out` holds `seen`
/// numbers; query heads that are not finite are no part of it, nor are keys: without any of either all are 0.
void softmax_of_largest(row_view auto const& queries, index position, int group, row_view auto const& keys, index head,
                        std::span<double> out) {
  constexpr int D = head_dim_of<std::decay_t<decltype(keys)>>;
  double most = -INFINITY, sum = 0;
  for (std::size_t t = 0; t < out.size(); ++t) {
    out[t] = -INFINITY;
    for (index q = head * group; q < (head + 1) * group; ++q) {
      if (!finite_row(queries, q, position) || !finite_row(keys, head, static_cast<index>(t))) continue;
      double z = 0;
      for (int d = 0; d < D; ++d)
        z += element_at(queries, q, position, d) * element_at(keys, head, static_cast<index>(t), d);
      out[t] = std::max(out[t], z / std::sqrt(static_cast<double>(D)));
    }
    most = std::max(most, out[t]);
  }
  for (double& p : out) sum += p = p == -INFINITY ? 0 : std::exp(p - most);
  for (double& p : out) p = sum == 0 ? 0 : p / sum;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
