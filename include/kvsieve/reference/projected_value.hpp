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

/// How the norms of a group's query heads become one number.
enum class joined { mean, sum, largest };

/// w[t] of one KV head: the norms of `output` v_t, L2 or L1, joined over the query heads of its group; NaN where v_t is
/// not finite. `output` [hidden, query heads, D] is the output projection of the layer (CriticalKV, arXiv 2502.03805).
[[nodiscard]] std::vector<double> projected_norms(row_view auto const& values, index head,
                                                  std::span<float const> output, int query_heads, bool euclidean,
                                                  joined how) {
  constexpr std::size_t channels = head_dim_of<std::decay_t<decltype(values)>>;
  auto const heads = static_cast<std::size_t>(query_heads), group = heads / static_cast<std::size_t>(values.extent(0));
  std::size_t const hidden = output.size() / heads / channels;
  std::vector<double> weight(static_cast<std::size_t>(values.extent(1)));
  for (std::size_t t = 0; t < weight.size(); ++t) {
    auto const token = static_cast<index>(t);
    if (!finite_row(values, head, token)) {
      weight[t] = std::numeric_limits<double>::quiet_NaN();
      continue;
    }
    for (std::size_t g = 0; g < group; ++g) {
      std::size_t const q = static_cast<std::size_t>(head) * group + g;
      double norm = 0;
      for (std::size_t o = 0; o < hidden; ++o) {
        double entry = 0;
        for (std::size_t d = 0; d < channels; ++d)
          entry += static_cast<double>(output[(o * heads + q) * channels + d]) *
                   element_at(values, head, token, static_cast<int>(d));
        norm += euclidean ? entry * entry : std::abs(entry);
      }
      if (euclidean) norm = std::sqrt(norm);
      weight[t] = how == joined::largest ? std::max(weight[t], norm) : weight[t] + norm;
    }
    if (how == joined::mean) weight[t] /= static_cast<double>(group);
  }
  return weight;
}

/// Weights [heads][tokens] as shares of the sum over the heads; 0 where that is 0.
inline void share_over_heads(std::vector<std::vector<double>>& weight) {
  for (std::size_t t = 0; t < weight[0].size(); ++t) {
    double sum = 0;
    for (auto const& head : weight) sum += head[t];
    for (auto& head : weight) head[t] = sum == 0 ? 0 : head[t] / sum;
  }
}

/// Weighs the scores of one head, in place: score[t] = (score[t] + epsilon) * weight[t].
inline void projected_value(std::span<double const> weight, double epsilon, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) score[t] = (score[t] + epsilon) * weight[t];
}
}  // namespace reference
}  // namespace kvsieve::inline v0
