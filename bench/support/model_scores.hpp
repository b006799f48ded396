// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores of all heads of a model, for benchmarks of budgets that look at them, and what reading them once takes.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/host/on.hpp>

#include <benchmark/benchmark.h>
#include <cmath>
#include <random>
#include <vector>

#include "scoring.hpp"
#include "team.hpp"

namespace kvsieve::bench {

/// 32 layers of 8 heads, a scale of its own for each.
class model_scores {
 public:
  static constexpr int layers = 32, heads = 8, rows = layers * heads;

  /// Normal scores; `positive`: their exponentials, as attention is.
  explicit model_scores(int tokens, bool positive = false) : tokens_(tokens), scores_(rows, tokens), sum_(rows) {
    std::mt19937 random(17);
    std::normal_distribution<float> normal;
    for (int r = 0; r < rows; ++r) {
      float const scale = 0.25f + static_cast<float>(random() % 64) / 16;
      float* const own = scores_.rows().row(0, r, tokens);
      for (int t = 0; t < tokens; ++t) own[t] = positive ? std::exp(scale * normal(random)) : scale * normal(random);
    }
  }

  [[nodiscard]] int tokens() const { return tokens_; }
  [[nodiscard]] float const* row(index r) const { return scores_.row(static_cast<int>(r)); }
  [[nodiscard]] static index scored(int tokens) { return rows * score_stride(tokens); }

  /// Reads all scores; the sums keep it from being left out.
  void read() {
    on().for_each(rows, [&](index r, int) {
      auto const* const own = row(r);
      constexpr int chains = 8, lanes = host::fragment::lanes, step = chains * lanes;
      host::fragment sum[chains];
      for (auto& s : sum) s = host::fragment(0.0f);
      for (index t = 0; t + step <= tokens_; t += step)
        KVSIEVE_UNROLL for (int i = 0; i < chains; ++i) sum[i] = sum[i] + host::load(own + t + i * lanes);
      for (int i = 1; i < chains; ++i) sum[0] = sum[0] + sum[i];
      sum_[static_cast<std::size_t>(r)] = host::sum(sum[0]);
    });
    benchmark::DoNotOptimize(sum_.data());
  }

 private:
  int tokens_;
  score_memory scores_;
  std::vector<float> sum_;
};
}  // namespace kvsieve::bench
