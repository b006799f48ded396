// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Hidden states and tables of weights for scorers that learned from them.
#pragma once
#include <random>
#include <vector>

#include <kvsieve/core/hidden.hpp>

namespace support {

/// Random hidden states of one view, rows apart by more than their width.
struct hidden_states {
  kvsieve::dtype type;
  int tokens, width, stride;
  std::vector<float> wide;
  std::vector<kvsieve::bf16> narrow;
  std::vector<kvsieve::f16> half;

  hidden_states(kvsieve::dtype t, int rows, int w, std::uint32_t seed)
      : type(t), tokens(rows), width(w), stride(w + 8) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (int i = 0; i < tokens * stride; ++i) {
      float const x = normal(random);
      half.push_back(kvsieve::from_float<kvsieve::f16>(x));
      narrow.push_back(kvsieve::from_float<kvsieve::bf16>(x));
      wide.push_back(x);
    }
  }
  [[nodiscard]] kvsieve::hidden_rows rows() const {
    void const* const data = type == kvsieve::dtype::f32   ? static_cast<void const*>(wide.data())
                             : type == kvsieve::dtype::f16 ? static_cast<void const*>(half.data())
                                                           : static_cast<void const*>(narrow.data());
    return {data, type, tokens, width, stride};
  }
  [[nodiscard]] std::vector<double> row(int token) const {
    std::vector<double> x;
    for (int i = 0; i < width; ++i) {
      auto const at = static_cast<std::size_t>(token * stride + i);
      x.push_back(static_cast<double>(type == kvsieve::dtype::f32   ? wide[at]
                                      : type == kvsieve::dtype::f16 ? kvsieve::to_float(half[at])
                                                                    : kvsieve::to_float(narrow[at])));
    }
    return x;
  }
};

/// `size` normal numbers times `scale`.
[[nodiscard]] inline std::vector<float> draw_weights(std::size_t size, float scale, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> w(size);
  for (float& x : w) x = scale * normal(random);
  return w;
}
[[nodiscard]] inline kvsieve::cs::span<float const> span_of(std::vector<float> const& w) {
  return {w.data(), w.size()};
}
}  // namespace support
