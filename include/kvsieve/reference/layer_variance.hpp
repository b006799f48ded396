// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// A layer's statistic in D2O (AIoT-MLSys-Lab/D2O): the mean over its heads of their variance over the tokens, divided
/// by tokens - 1, as a share of the range from the least to the largest of them.
[[nodiscard]] inline double layer_variance(std::vector<std::vector<double>> const& heads) {
  std::vector<double> variance;
  for (auto const& score : heads) {
    auto const n = static_cast<double>(score.size());
    double mean = 0, squares = 0;
    for (double const x : score) mean += x / n;
    for (double const x : score) squares += (x - mean) * (x - mean);
    variance.push_back(score.size() < 2 ? 0 : squares / (n - 1));
  }
  auto const [least, most] = std::minmax_element(variance.begin(), variance.end());
  double sum = 0;
  for (double const x : variance) sum += (x - *least) / (*most - *least + 1e-6);
  return sum / static_cast<double>(variance.size());
}

/// Shares of layers by that statistic.
[[nodiscard]] inline std::vector<double> softmax_of_minus(std::vector<double> const& statistic) {
  double sum = 0;
  std::vector<double> share;
  for (double const d : statistic) {
    share.push_back(std::exp(-d));
    sum += share.back();
  }
  for (double& x : share) x /= sum;
  return share;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
