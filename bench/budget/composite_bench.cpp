// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Counting how the best quarter of all places of a model falls on its layers, as a share of reading the scores once.
#include <kvsieve/host/budget/count_places.hpp>
#include <kvsieve/reference/composite.hpp>

#include "model_scores.hpp"
#include "paired.hpp"

namespace kvsieve::bench {
namespace {
constexpr int layers = model_scores::layers, heads = model_scores::heads, rows = model_scores::rows;

/// Scores of all heads of a model, and room for counting.
class composition : public model_scores {
 public:
  explicit composition(int tokens)
      : model_scores(tokens), memory_(carve(arena{}, tokens).used), least_(layers), kept_(layers) {}

  void run(index total) {
    scratch const s = carve(arena(memory_.bytes()), tokens());
    auto const row_of = [&](index l, index h) {
      return host::competing_row{row(l * heads + h), forced_set{tokens(), 4, 32, nullptr, 0}};
    };
    host::count_places(on(), layers, heads, row_of, total, least_.data(), kept_.data(), s.rows, s.places);
  }
  [[nodiscard]] index competing() const { return index{layers} * (tokens() - 36); }
  [[nodiscard]] bool right(index total) {
    std::vector<std::vector<std::vector<double>>> scores(layers);
    for (int r = 0; r < rows; ++r)
      scores[static_cast<std::size_t>(r / heads)].emplace_back(row(r) + 4, row(r) + tokens() - 32);
    run(total);
    return reference::composite(scores, static_cast<long>(total)) == kept_;
  }

 private:
  struct scratch {
    host::count_best_scratch rows;
    host::count_places_scratch places;
    std::size_t used;
  };
  static scratch carve(arena a, int tokens) {
    auto const best = host::count_best_scratch::carve(a, rows, scored(tokens));
    auto const places = host::count_places_scratch::carve(a, layers, heads, scored(tokens));
    return {best, places, a.used()};
  }
  workspace memory_;
  std::vector<index> least_, kept_;
};

auto const registered = register_shapes<float>("budget/composite", [](auto, benchmark::State& state, int tokens) {
  static bool const right = [] {
    composition small(8 * small_tokens);  // enough for samples
    return small.right(small.competing() / 4);
  }();
  if (!right) return state.SkipWithError("counts differ from the reference");
  composition c(tokens);
  in_turns(
      state, "budget/composite", dtype::f32, tokens,
      {.limit = "reading the scores (share)", .bytes = 4.0 * rows * tokens, .inverse = true},
      [&] { c.run(c.competing() / 4); }, [&] { c.read(); });
});
}  // namespace
}  // namespace kvsieve::bench
