// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Counting how the best quarter of all scores of a model falls on its heads, as a share of reading these scores once.
#include <kvsieve/host/count_best.hpp>
#include <kvsieve/reference/over_all.hpp>

#include <random>

#include "paired.hpp"
#include "scoring.hpp"

namespace kvsieve::bench {
namespace {
constexpr int layers = 32, heads_of_layer = 8, rows = layers * heads_of_layer;

/// Scores of all heads of a model, a scale of its own for each, and room for counting.
class competition {
 public:
  explicit competition(int tokens)
      : tokens_(tokens), scores_(rows, tokens), memory_(carve_bytes(tokens)), count_(rows), sum_(rows) {
    std::mt19937 random(17);
    std::normal_distribution<float> normal;
    for (int r = 0; r < rows; ++r) {
      float const scale = 0.25f + static_cast<float>(random() % 64) / 16;
      float* const row = scores_.rows().row(0, r, tokens);
      for (int t = 0; t < tokens; ++t) row[t] = scale * normal(random);
    }
  }

  void run(index total) {
    arena a(memory_.bytes());
    auto const scratch = host::count_best_scratch::carve(a, rows, scored());
    host::count_best(
        on(), rows,
        [&](index r) {
          return host::competing_row{scores_.row(static_cast<int>(r)), forced_set{tokens_, 4, 32, nullptr, 0}};
        },
        total, count_.data(), scratch);
  }
  /// Reads all scores; the sums keep it from being left out.
  void read() {
    on().for_each(rows, [&](index r, int) {
      auto const* const row = scores_.row(static_cast<int>(r));
      constexpr int chains = 8, lanes = host::fragment::lanes, step = chains * lanes;
      host::fragment sum[chains];
      for (auto& s : sum) s = host::fragment(0.0f);
      for (index t = 0; t + step <= tokens_; t += step)
        KVSIEVE_UNROLL for (int i = 0; i < chains; ++i) sum[i] = sum[i] + host::load(row + t + i * lanes);
      for (int i = 1; i < chains; ++i) sum[0] = sum[0] + sum[i];
      sum_[static_cast<std::size_t>(r)] = host::sum(sum[0]);
    });
    benchmark::DoNotOptimize(sum_.data());
  }
  [[nodiscard]] index competing() const { return index{rows} * (tokens_ - 36); }
  [[nodiscard]] bool right(index total) {
    std::vector<reference::ranked_row> ranked(rows);
    for (int r = 0; r < rows; ++r) {
      float const* const row = scores_.row(r);
      ranked[static_cast<std::size_t>(r)] = {std::vector<double>(row + 4, row + tokens_ - 32), {}};
      ranked[static_cast<std::size_t>(r)].stays.assign(static_cast<std::size_t>(tokens_ - 36), false);
    }
    run(total);
    return reference::over_all(ranked, static_cast<long>(total)) == count_;
  }

 private:
  [[nodiscard]] index scored() const { return rows * score_stride(tokens_); }
  static std::size_t carve_bytes(int tokens) {
    arena a;
    (void)host::count_best_scratch::carve(a, rows, rows * score_stride(tokens));
    return a.used();
  }
  int tokens_;
  score_memory scores_;
  workspace memory_;
  std::vector<int> count_;
  std::vector<float> sum_;
};

auto const registered = register_shapes<float>("budget/over_all", [](auto, benchmark::State& state, int tokens) {
  static bool const right = [] {
    competition small(small_tokens);
    return small.right(small.competing() / 4);
  }();
  if (!right) return state.SkipWithError("counts differ from the reference");
  competition c(tokens);
  in_turns(
      state, "budget/over_all", dtype::f32, tokens,
      {.limit = "reading the scores (share)", .bytes = 4.0 * rows * tokens, .goal = -2, .inverse = true},
      [&] { c.run(c.competing() / 4); }, [&] { c.read(); });
});
}  // namespace
}  // namespace kvsieve::bench
