// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows that formats must take as their references do.
#pragma once
#include <kvsieve/core/dtype.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "generators.hpp"

namespace encode_tests {
/// A row of one of many kinds: of any size down to denormals, all equal, zeros of both signs, ties at halves of steps
/// and in magnitude, any bits at all, some numbers that are not finite or beyond the f16s.
inline std::vector<float> any_numbers(std::size_t count) {
  std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
  std::normal_distribution<float> normal;
  float const sizes[] = {1.0f, 1e-3f, 300.0f, 1e-7f, 1e-30f, 1e-38f, 1e-42f, 1e5f, 1e30f}, size = sizes[random() % 9];
  float const wild[] = {std::nanf(""), -std::nanf(""), INFINITY, -INFINITY, 65504.0f, 65520.0f, -65536.0f};
  auto const kind = random() % 10;
  std::vector<float> x;
  for (std::size_t i = 0; i < count; ++i) {
    float v = size * normal(random);
    if (kind == 0) v = size;
    if (kind == 1 && i != 5) v /= 1000;
    if (kind == 2) v = kvsieve::to_float(kvsieve::from_float<kvsieve::bf16>(v));
    if (kind == 3) v = std::round(normal(random) * 4) / 4;
    if (kind == 4) v = v > 0 ? v : random() % 2 == 0 ? 0.0f : -0.0f;
    if (kind == 5) v = std::round(normal(random) * 15) / 2;
    if (kind == 6) v = static_cast<float>(random() % 3) - 1.0f;
    if (kind == 7) v = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (kind == 8 && random() % 40 == 0) v = wild[random() % 7];
    if (kind == 9) v = std::abs(v) + size * 100;
    x.push_back(v);
  }
  return x;
}
}  // namespace encode_tests
