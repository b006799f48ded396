// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <kvsieve/reference/attention.hpp>
#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Decode attention of one query head over all tokens of its KV head:
/// out[d] = sum over t of p_t v_td, p = softmax of <q, k_t> / sqrt(D); `queries` is [Hq, 1, D], `out` holds D.
void attend(row_view auto const& queries, index query_head, row_view auto const& keys, row_view auto const& values,
            index head, std::span<double> out) {
  std::vector<double> p(static_cast<std::size_t>(keys.extent(1)));
  attention(queries, query_head, keys, head, 1, std::span<double>(p));
  for (std::size_t d = 0; d < out.size(); ++d) {
    out[d] = 0;
    for (std::size_t t = 0; t < p.size(); ++t)
      out[d] += p[t] * element_at(values, head, static_cast<index>(t), static_cast<int>(d));
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
