// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores in which everything happens that a ranking has to tell apart.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace support {

inline constexpr int score_kinds = 7;

/// `count` scores of one kind: normal, few values with NaN and infinities, all equal, any bits, neighbours, ties,
/// sorted.
inline std::vector<float> draw_scores(std::mt19937& random, int kind, std::size_t count) {
  std::normal_distribution<float> normal;
  float const few[] = {0.0f, -0.0f, 1.0f, -1.0f, NAN, -NAN, HUGE_VALF, -HUGE_VALF, 0x1p-149f, -0x1p-149f};
  std::vector<float> scores(count);
  for (std::size_t i = 0; i < count; ++i) {
    float& x = scores[i];
    if (kind == 0) x = normal(random);
    if (kind == 1) x = few[random() % std::size(few)];
    if (kind == 2) x = 0.5f;
    if (kind == 3) x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (kind == 4) x = 1.0f + 0x1p-23f * static_cast<float>(random() % 7);
    if (kind == 5) x = static_cast<float>(random() % 3) * 1e-3f - static_cast<float>(i % 2);
    if (kind == 6) x = -static_cast<float>(i);
  }
  return scores;
}
}  // namespace support
