// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = -<k_t, filter>, for one KV head; `filter` holds D (Q-Filters, arXiv 2503.02812).
void q_filters(row_view auto const& keys, index head, std::span<float const> filter, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    double dot = 0;
    for (std::size_t d = 0; d < filter.size(); ++d)
      dot += element_at(keys, head, static_cast<index>(t), static_cast<int>(d)) * static_cast<double>(filter[d]);
    score[t] = -dot;
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
