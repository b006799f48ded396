// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <limits>
#include <span>

#include <kvsieve/reference/rope.hpp>
#include <kvsieve/reference/solve.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Adds to score[t], for the tokens from `sink` on, `share` times w_t v_t^T M^-1 v_t: w_t = exp(sharpness (z_t - max
/// z)), z_t the cosine of key t with R m, m = `mean` query before rotation, R the mean rotation over the `future`
/// positions from N on, M = I + sum of (w_t + epsilon) v_t v_t^T. A token whose key or value is not finite, or has a
/// square that is not finite as a float, scores NaN and takes no part. Returns M^-1. As kvpress's CapPress.
matrix cap_kv(row_view auto const& keys, row_view auto const& values, index head, std::vector<double> const& mean,
              int sink, int future, double sharpness, double epsilon, rope_params const& rope, double share,
              std::span<double> score) {
  constexpr std::size_t channels = head_dim_of<std::decay_t<decltype(keys)>>;
  int const tokens = static_cast<int>(score.size());
  auto const rotation = mean_rotation(rope, static_cast<int>(channels), rope.first_position + tokens, future);
  std::vector<double> const query = turned(mean, rope, rotation);
  double squares = 0;
  for (double const m : query) squares += m * m;
  double const mean_norm = std::max(std::sqrt(squares), 1e-12);
  std::vector<double> z(score.size(), std::numeric_limits<double>::quiet_NaN());
  double largest = -1;
  for (int t = sink; t < tokens; ++t) {
    double const key_norm = norm_of(keys, head, t), value_norm = norm_of(values, head, t);
    double const limit = static_cast<double>(std::numeric_limits<float>::max());
    if (!(key_norm * key_norm <= limit) || !(value_norm * value_norm <= limit)) continue;
    double dot = 0;
    for (std::size_t d = 0; d < channels; ++d) dot += query[d] * element_at(keys, head, t, static_cast<int>(d));
    z[static_cast<std::size_t>(t)] = std::clamp(dot / mean_norm / std::max(key_norm, 1e-12), -1.0, 1.0);
    largest = std::max(largest, z[static_cast<std::size_t>(t)]);
  }
  matrix m = zeros(channels, channels);
  for (std::size_t d = 0; d < channels; ++d) m[d][d] = 1;
  auto const value = [&](std::size_t t, std::size_t d) {
    return element_at(values, head, static_cast<index>(t), static_cast<int>(d));
  };
  for (auto t = static_cast<std::size_t>(sink); t < score.size(); ++t) {
    if (std::isnan(z[t])) continue;
    double const weight = std::exp(sharpness * (z[t] - largest)) + epsilon;
    for (std::size_t a = 0; a < channels; ++a)
      for (std::size_t b = 0; b < channels; ++b) m[a][b] += weight * value(t, a) * value(t, b);
  }
  matrix const inverse = inverse_of(m);
  for (auto t = static_cast<std::size_t>(sink); t < score.size(); ++t) {
    std::vector<double> v;
    for (std::size_t d = 0; d < channels; ++d) v.push_back(value(t, d));
    score[t] += std::isnan(z[t]) ? z[t] : share * std::exp(sharpness * (z[t] - largest)) * quadratic(inverse, v);
  }
  return inverse;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
