// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>
#include <span>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Weighs the scores of one head, in place, by the length of the values: score[t] = (score[t] + epsilon) * ||v_t||; NaN
/// where the value is not finite. As kvpress's Expected Attention, and Compactor (arXiv 2507.08143) with epsilon 0.
void value_norm(row_view auto const& values, index head, double epsilon, std::span<double> score) {
  constexpr int channels = head_dim_of<std::decay_t<decltype(values)>>;
  for (std::size_t t = 0; t < score.size(); ++t) {
    double squares = 0;
    for (int d = 0; d < channels; ++d) {
      double const v = element_at(values, head, static_cast<index>(t), d);
      squares += v * v;
    }
    score[t] = (score[t] + epsilon) * (std::isfinite(squares) ? std::sqrt(squares) : std::nan(""));
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
