// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = ||v_t|| / max(||k_t||, 1e-6), for one KV head; NaN where key or value is not finite (PagedEviction, arXiv
/// 2509.04377).
void value_key_ratio(row_view auto const& keys, row_view auto const& values, index head, std::span<double> score) {
  for (std::size_t i = 0; i < score.size(); ++i) {
    index const t = static_cast<index>(i);
    score[i] = finite_row(keys, head, t) && finite_row(values, head, t)
                   ? norm_of(values, head, t) / std::max(norm_of(keys, head, t), 1e-6)
                   : std::numeric_limits<double>::quiet_NaN();
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
