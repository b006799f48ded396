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

/// cos(k_i, k_t) for one KV head, norms below 1e-8 counting as that; NaN where a key is not finite.
[[nodiscard]] double cosine_of(row_view auto const& keys, index head, index i, index t) {
  if (!finite_row(keys, head, i) || !finite_row(keys, head, t)) return std::numeric_limits<double>::quiet_NaN();
  double dot = 0;
  for (int d = 0; d < head_dim_of<std::decay_t<decltype(keys)>>; ++d)
    dot += element_at(keys, head, i, d) * element_at(keys, head, t, d);
  return dot / (std::max(norm_of(keys, head, i), 1e-8) * std::max(norm_of(keys, head, t), 1e-8));
}

/// score[t] = -softmax over the tokens of the mean over i of cos(k_i, k_t); 0 for i = t, and for the last t that is not
/// i and has cos(k_i, k_t) > threshold. For one KV head (R-KV, arXiv 2505.24133; its code exempts token 0 where no
/// token is similar, this none).
void redundancy(row_view auto const& keys, index head, double threshold, std::span<double> score) {
  auto const tokens = static_cast<index>(score.size());
  std::fill(score.begin(), score.end(), 0.0);
  for (index i = 0; i < tokens; ++i) {
    index exempt = -1;
    for (index t = 0; t < tokens; ++t)
      if (t != i && threshold < 1 && cosine_of(keys, head, i, t) > threshold) exempt = t;
    for (index t = 0; t < tokens; ++t) {
      double const cosine = cosine_of(keys, head, i, t);
      if (t != i && t != exempt && !std::isnan(cosine))
        score[static_cast<std::size_t>(t)] += cosine / static_cast<double>(tokens);
    }
  }
  double sum = 0;
  for (index t = 0; t < tokens; ++t) {
    double& s = score[static_cast<std::size_t>(t)];
    s = finite_row(keys, head, t) ? std::exp(s) : std::numeric_limits<double>::quiet_NaN();
    sum += std::isnan(s) ? 0 : s;
  }
  for (double& s : score) s = -s / sum;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
