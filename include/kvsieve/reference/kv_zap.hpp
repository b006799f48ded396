// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>
#include <span>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// weight [outputs, x.size()] times x, plus bias [outputs, or fewer: the others have none].
[[nodiscard]] inline std::vector<double> products(std::span<float const> weight, std::span<float const> bias,
                                                  std::span<double const> x) {
  std::vector<double> y(weight.size() / x.size());
  for (std::size_t o = 0; o < y.size(); ++o) {
    y[o] = o < bias.size() ? static_cast<double>(bias[o]) : 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) y[o] += static_cast<double>(weight[o * x.size() + i]) * x[i];
  }
  return y;
}

/// Scores of all heads for a hidden state x: weight [heads, width], bias [heads] (KVzap, linear).
[[nodiscard]] inline std::vector<double> kv_zap_linear(std::span<float const> weight, std::span<float const> bias,
                                                       std::span<double const> x) {
  return products(weight, bias, x);
}

/// Scores of all heads for a hidden state x through a layer of units with the GELU of the error function: weight
/// [units, width], bias [units], out_weight [heads, units], out_bias [heads] (KVzap).
[[nodiscard]] inline std::vector<double> kv_zap(std::span<float const> weight, std::span<float const> bias,
                                                std::span<float const> out_weight, std::span<float const> out_bias,
                                                std::span<double const> x) {
  auto y = products(weight, bias, x);
  for (double& unit : y) unit = unit / 2 * (1 + std::erf(unit / std::sqrt(2.0)));
  return products(out_weight, out_bias, y);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
