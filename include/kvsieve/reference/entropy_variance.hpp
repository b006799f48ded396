// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// What a query head adds to the entropy and the variance of its layer (CAKE, ICLR 2025), tokens [0, past) of `tokens`:
/// p[i * tokens + t] are the probabilities of `observed` queries, at least 2.
struct layer_spread {
  double entropy = 0;   ///< sum of -p log(p + 1e-10)
  double variance = 0;  ///< sum over the tokens of the variance over the queries
  /// Adds those of a query head.
  void add(std::span<double const> p, int observed, std::size_t tokens, std::size_t past) {
    for (std::size_t t = 0; t < past; ++t) {
      double mean = 0, squares = 0;
      for (int i = 0; i < observed; ++i) {
        double const x = p[static_cast<std::size_t>(i) * tokens + t];
        mean += x / observed;
        entropy -= x * std::log(x + 1e-10);
      }
      for (int i = 0; i < observed; ++i) {
        double const x = p[static_cast<std::size_t>(i) * tokens + t];
        squares += (x - mean) * (x - mean);
      }
      variance += squares / (observed - 1);
    }
  }
  /// How much the layer wants.
  [[nodiscard]] double preference(double tau1, double tau2) const {
    return std::pow(entropy, 1 / tau1) * std::pow(variance, 1 / tau2);
  }
};
}  // namespace reference
}  // namespace kvsieve::inline v0
