// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Counting the tokens that hold nine tenths of the mass of each head of a model, as a share of reading these scores
// once.
#include <kvsieve/host/budget/count_mass.hpp>
#include <kvsieve/reference/uncertainty.hpp>

#include <cstdlib>

#include "model_scores.hpp"
#include "paired.hpp"

namespace kvsieve::bench {
namespace {
constexpr int rows = model_scores::rows;

class masses : public model_scores {
 public:
  explicit masses(int tokens)
      : model_scores(tokens, true), room_(static_cast<std::size_t>(scored(tokens))), count_(rows) {}

  void run() {
    on().for_each(rows, [&](index r, int) {
      count_[static_cast<std::size_t>(r)] =
          host::count_mass(row(r), tokens(), 0.9, room_.data() + r * score_stride(tokens()));
    });
    benchmark::DoNotOptimize(count_.data());
  }
  // Sums in another order may move a cut by a token.
  [[nodiscard]] bool right() {
    run();
    bool all = true;
    for (int r = 0; r < rows; ++r) {
      long const want = reference::tokens_for_mass({row(r), row(r) + tokens()}, 0.9);
      all = all && std::labs(want - static_cast<long>(count_[static_cast<std::size_t>(r)])) <= 1;
    }
    return all;
  }

 private:
  std::vector<unsigned> room_;
  std::vector<index> count_;
};

auto const registered = register_shapes<float>("budget/uncertainty", [](auto, benchmark::State& state, int tokens) {
  static bool const right = masses(small_tokens).right();
  if (!right) return state.SkipWithError("counts differ from the reference");
  masses m(tokens);
  in_turns(
      state, "budget/uncertainty", dtype::f32, tokens,
      {.limit = "reading the scores (share)", .bytes = 4.0 * rows * tokens, .inverse = true}, [&] { m.run(); },
      [&] { m.read(); });
});
}  // namespace
}  // namespace kvsieve::bench
