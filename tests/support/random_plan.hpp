// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans of random lists and scores, for what divides them.
#pragma once
#include <kvsieve/core/plan.hpp>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

namespace support {
/// A plan that keeps random tokens; scores are of few values, so that many are equal.
struct random_plan {
  int views, heads;
  std::vector<int> tokens, list;
  std::vector<kvsieve::index> offset, score_offset;
  std::vector<float> score;

  /// With `whole` every token is kept.
  explicit random_plan(std::uint32_t seed, bool whole = false) {
    std::mt19937 random(seed);
    auto const below = [&](int n) { return static_cast<int>(random() % static_cast<std::uint32_t>(n)); };
    views = 1 + below(3);
    heads = 1 + below(4);
    offset.push_back(0);
    for (int v = 0; v < views; ++v) {
      tokens.push_back(1 + below(60));
      score_offset.push_back(static_cast<kvsieve::index>(score.size()));
      int const keep = whole ? 3 : below(4);
      for (int h = 0; h < heads; ++h) {
        for (int t = 0; t < tokens.back(); ++t)
          if (below(3) < keep) list.push_back(t);
        offset.push_back(static_cast<kvsieve::index>(list.size()));
        for (int t = 0; t < kvsieve::score_stride(tokens.back()); ++t) {
          float const values[] = {0.5f, 1.0f, -2.0f, INFINITY, -INFINITY, std::nanf("")};
          score.push_back(below(2) == 0 ? values[below(6)] : static_cast<float>(below(1000)));
        }
      }
    }
  }
  [[nodiscard]] kvsieve::token_plan view() const {
    kvsieve::token_plan p;
    p.views = views;
    p.heads = heads;
    p.logical_tokens = tokens.data();
    p.offset = offset.data();
    p.list = list.data();
    p.score = score.data();
    p.score_offset = score_offset.data();
    return p;
  }
};

/// An entry of a plan.
struct place {
  int view, head, token;
  bool operator==(place const&) const = default;
};
/// All entries of a plan.
inline std::vector<place> places(kvsieve::token_plan const& p) {
  std::vector<place> all;
  for (int v = 0; v < p.views; ++v)
    for (int h = 0; h < p.heads; ++h)
      for (int const t : p.kept(v, h)) all.push_back({v, h, t});
  return all;
}
}  // namespace support
