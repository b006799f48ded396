// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>
#include <span>
#include <vector>

#include <kvsieve/reference/kv_zap.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Weights of a layer of the gate (Fast KVzip).
struct gate_weights {
  int heads = 1;                        ///< KV heads
  int group = 1;                        ///< query heads of each
  int channels = 1;                     ///< of a query or key of the gate
  int base_keys = 0;                    ///< keys that every query meets
  std::span<float const> weight{};      ///< [heads * group * channels + heads * channels, width]
  std::span<float const> bias{};        ///< [heads * group * channels]
  std::span<float const> query_norm{};  ///< [channels]
  std::span<float const> key_norm{};    ///< [channels]
  std::span<float const> base_key{};    ///< [heads, base_keys, channels]
  std::span<float const> offset{};      ///< [heads, group]
};

/// Scores of all heads for a hidden state x: the mean over the group of exp(a) / (exp(a) + sum of exp(c)), a the logit
/// of the token's own query and key, c those of the query with the base keys.
[[nodiscard]] inline std::vector<double> gate(gate_weights const& w, std::span<double const> x) {
  auto const y = products(w.weight, w.bias, x);
  int const d = w.channels;
  auto const normed = [&](int first, std::span<float const> factor) {
    std::vector<double> row;
    double squares = 0;
    for (int i = 0; i < d; ++i) {
      row.push_back(y[static_cast<std::size_t>(first + i)]);
      squares += row.back() * row.back();
    }
    for (std::size_t i = 0; i < row.size(); ++i)
      row[i] *= static_cast<double>(factor[i]) / std::sqrt(squares / d + 1e-6);
    return row;
  };
  std::vector<double> score;
  for (int h = 0; h < w.heads; ++h) {
    auto const key = normed((w.heads * w.group + h) * d, w.key_norm);
    double sum = 0;
    for (int g = 0; g < w.group; ++g) {
      auto const query = normed((h * w.group + g) * d, w.query_norm);
      double own = 0, others = 0;
      for (std::size_t i = 0; i < query.size(); ++i) own += key[i] * query[i];
      own = own / std::sqrt(d) + static_cast<double>(w.offset[static_cast<std::size_t>(h * w.group + g)]);
      for (int s = 0; s < w.base_keys; ++s) {
        double dot = 0;
        for (std::size_t i = 0; i < query.size(); ++i)
          dot += static_cast<double>(w.base_key[static_cast<std::size_t>((h * w.base_keys + s) * d) + i]) * query[i];
        others += std::exp(dot / std::sqrt(d) - own);
      }
      sum += 1 / (1 + others);
    }
    score.push_back(sum / w.group);
  }
  return score;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
