// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Counting how the best quarter of all scores of a model falls on its heads, as a share of reading these scores once.
#include <kvsieve/host/budget/count_best.hpp>
#include <kvsieve/reference/over_all.hpp>

#include "model_scores.hpp"
#include "paired.hpp"

namespace kvsieve::bench {
namespace {
constexpr int rows = model_scores::rows;

/// Scores of all heads of a model, and room for counting.
class competition : public model_scores {
 public:
  explicit competition(int tokens) : model_scores(tokens), memory_(carve_bytes(tokens)), count_(rows) {}

  void run(index total) {
    arena a(memory_.bytes());
    auto const scratch = host::count_best_scratch::carve(a, rows, scored(tokens()));
    host::count_best(
        on(), rows, [&](index r) { return host::competing_row{row(r), forced_set{tokens(), 4, 32, nullptr, 0}}; },
        total, count_.data(), scratch);
  }
  [[nodiscard]] index competing() const { return index{rows} * (tokens() - 36); }
  [[nodiscard]] bool right(index total) {
    std::vector<reference::ranked_row> ranked(rows);
    for (int r = 0; r < rows; ++r) {
      ranked[static_cast<std::size_t>(r)] = {std::vector<double>(row(r) + 4, row(r) + tokens() - 32), {}};
      ranked[static_cast<std::size_t>(r)].stays.assign(static_cast<std::size_t>(tokens() - 36), false);
    }
    run(total);
    return reference::over_all(ranked, static_cast<long>(total)) == count_;
  }

 private:
  static std::size_t carve_bytes(int tokens) {
    arena a;
    (void)host::count_best_scratch::carve(a, rows, scored(tokens));
    return a.used();
  }
  workspace memory_;
  std::vector<int> count_;
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
