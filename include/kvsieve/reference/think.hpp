// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// importance[d] = mean over the query heads of the group and the last min(window, W) queries of q_d^2, times the mean
/// over all keys of the head of k_d^2. Xu et al., "ThinK: Thinner Key Cache by Query-Driven Pruning", arXiv 2407.21018,
/// in the form of kvpress: products of squared norms.
inline std::vector<double> think(row_view auto const& queries, row_view auto const& keys, index head, index tokens,
                                 index window) {
  constexpr int D = head_dim_of<std::decay_t<decltype(keys)>>;
  index const group = queries.extent(0) / keys.extent(0), all = queries.extent(1), seen = std::min(window, all);
  std::vector<double> importance(D);
  for (int d = 0; d < D; ++d) {
    double q = 0, k = 0;
    for (index g = 0; g < group; ++g)
      for (index w = all - seen; w < all; ++w) q += std::pow(element_at(queries, head * group + g, w, d), 2);
    for (index t = 0; t < tokens; ++t) k += std::pow(element_at(keys, head, t, d), 2);
    importance[static_cast<std::size_t>(d)] =
        q / static_cast<double>(group * seen) * (tokens == 0 ? 0 : k / static_cast<double>(tokens));
  }
  return importance;
}

/// The channels of the `keep` largest importances, ascending; of equal ones the lower, NaN last.
[[nodiscard]] inline std::vector<int> largest_channels(std::span<double const> importance, int keep) {
  std::vector<int> order;
  for (int d = 0; d < static_cast<int>(importance.size()); ++d) order.push_back(d);
  auto const key = [&](int d) {
    double const x = importance[static_cast<std::size_t>(d)];
    return std::isnan(x) ? -INFINITY : x;
  };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return key(a) > key(b); });
  order.resize(static_cast<std::size_t>(keep));
  std::sort(order.begin(), order.end());
  return order;
}

/// Channels of each head [heads], of importances [heads, D] of a whole model: those of a head that reach the quantile
/// `ratio` of all, in number rounded to a multiple of `align`, halves up; the largest of the head. LeanK's own rule.
[[nodiscard]] inline std::vector<std::vector<int>> lean_k(std::span<double const> importance, int head_dim,
                                                          double ratio, int align) {
  std::vector<double> sorted(importance.begin(), importance.end());
  std::sort(sorted.begin(), sorted.end());
  double const place = ratio * static_cast<double>(sorted.size() - 1);
  auto const low = static_cast<std::size_t>(place), high = std::min(low + 1, sorted.size() - 1);
  double const least = sorted[low] + (place - std::floor(place)) * (sorted[high] - sorted[low]);
  std::vector<std::vector<int>> all;
  for (std::size_t at = 0; at < importance.size(); at += static_cast<std::size_t>(head_dim)) {
    auto const head = importance.subspan(at, static_cast<std::size_t>(head_dim));
    auto const above = std::count_if(head.begin(), head.end(), [&](double a) { return a >= least; });
    all.push_back(largest_channels(head, static_cast<int>((above + align / 2) / align * align)));
  }
  return all;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
