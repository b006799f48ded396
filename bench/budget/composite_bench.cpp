// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sorting the scores of all heads of a model, as a share of reading them once.
#include <kvsieve/host/sort_scores.hpp>

#include <algorithm>
#include <functional>

#include "model_scores.hpp"
#include "paired.hpp"

namespace kvsieve::bench {
namespace {
constexpr int rows = model_scores::rows;

class sorted_model : public model_scores {
 public:
  explicit sorted_model(int tokens)
      : model_scores(tokens),
        key_(static_cast<std::size_t>(scored(tokens))),
        spare_(static_cast<std::size_t>(scored(tokens))) {}

  void run() {
    on().for_each(rows, [&](index r, int) {
      unsigned* const own = key(r);
      for (index t = 0; t < tokens(); ++t) own[t] = ordered(row(r)[t]);
      host::sort_keys(own, spare_.data() + (own - key_.data()), tokens());
    });
    benchmark::DoNotOptimize(key_.data());
  }
  [[nodiscard]] bool right() {
    run();
    bool all = true;
    for (int r = 0; r < rows; ++r) all = all && std::is_sorted(key(r), key(r) + tokens(), std::greater<>{});
    return all;
  }

 private:
  unsigned* key(index r) { return key_.data() + r * score_stride(tokens()); }
  std::vector<unsigned> key_, spare_;
};

auto const registered = register_shapes<float>("budget/composite", [](auto, benchmark::State& state, int tokens) {
  static bool const right = sorted_model(small_tokens).right();
  if (!right) return state.SkipWithError("rows are not sorted");
  sorted_model m(tokens);
  in_turns(
      state, "budget/composite", dtype::f32, tokens,
      {.limit = "reading the scores (share)", .bytes = 4.0 * rows * tokens, .inverse = true}, [&] { m.run(); },
      [&] { m.read(); });
});
}  // namespace
}  // namespace kvsieve::bench
