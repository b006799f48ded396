// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the reference policies share: an element as double, and whether a row is made of numbers.
#pragma once
#include <cmath>

#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// One element of a view; widening is exact.
[[nodiscard]] double element_at(row_view auto const& view, index head, index token, int channel) {
  return static_cast<double>(to_float(view(head, token, channel)));
}

/// True when no element of the row is NaN or infinite.
[[nodiscard]] bool finite_row(row_view auto const& view, index head, index token) {
  for (int d = 0; d < head_dim_of<std::decay_t<decltype(view)>>; ++d)
    if (!std::isfinite(element_at(view, head, token, d))) return false;
  return true;
}

/// The Euclidean norm of a row.
[[nodiscard]] double norm_of(row_view auto const& view, index head, index token) {
  double squares = 0;
  for (int d = 0; d < head_dim_of<std::decay_t<decltype(view)>>; ++d) {
    double const x = element_at(view, head, token, d);
    squares += x * x;
  }
  return std::sqrt(squares);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
