// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>
#include <utility>
#include <vector>

#include <kvsieve/core/rope.hpp>
#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// The two channels of pair i.
[[nodiscard]] inline std::pair<std::size_t, std::size_t> rope_pair(rope_params const& rope, int i, int channels) {
  auto const at = [](int d) { return static_cast<std::size_t>(d); };
  return rope.rope_interleaved ? std::pair{at(2 * i), at(2 * i + 1)} : std::pair{at(i), at(i + channels / 2)};
}
/// The angle of pair i from a position to the next.
[[nodiscard]] inline double rope_frequency(rope_params const& rope, int i, int channels) {
  return rope.rope_frequencies.empty() ? std::pow(rope.rope_base, -2.0 * i / channels)
                                       : rope.rope_frequencies[static_cast<cs::size_t>(i)];
}

/// A row as it was before its rotation at `position`.
[[nodiscard]] std::vector<double> before_rotation(row_view auto const& view, index head, index token, double position,
                                                  rope_params const& rope) {
  constexpr int channels = head_dim_of<std::decay_t<decltype(view)>>;
  std::vector<double> x;
  for (int d = 0; d < channels; ++d) x.push_back(element_at(view, head, token, d) / rope.rope_factor);
  for (int i = 0; i < channels / 2; ++i) {
    auto const [a, b] = rope_pair(rope, i, channels);
    double const angle = position * rope_frequency(rope, i, channels), c = std::cos(angle), s = std::sin(angle);
    double const first = x[a], second = x[b];
    x[a] = c * first + s * second;
    x[b] = c * second - s * first;
  }
  return x;
}

/// The mean over positions [first, first + count) of the rotation: cosine and sine of each pair.
[[nodiscard]] inline std::vector<std::pair<double, double>> mean_rotation(rope_params const& rope, int channels,
                                                                          double first, int count) {
  std::vector<std::pair<double, double>> mean;
  for (int i = 0; i < channels / 2; ++i) {
    double c = 0, s = 0;
    for (int p = 0; p < count; ++p) {
      double const angle = (first + p) * rope_frequency(rope, i, channels);
      c += std::cos(angle) * rope.rope_factor / count, s += std::sin(angle) * rope.rope_factor / count;
    }
    mean.emplace_back(c, s);
  }
  return mean;
}
/// x turned by a mean rotation.
[[nodiscard]] inline std::vector<double> turned(std::vector<double> x, rope_params const& rope,
                                                std::vector<std::pair<double, double>> const& mean) {
  int const channels = static_cast<int>(x.size());
  for (int i = 0; i < channels / 2; ++i) {
    auto const [a, b] = rope_pair(rope, i, channels);
    auto const [c, s] = mean[static_cast<std::size_t>(i)];
    double const one = x[a], other = x[b];
    x[a] = c * one - s * other;
    x[b] = c * other + s * one;
  }
  return x;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
