// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Selecting half of the tokens of every head, as a share of the key-norm pass that made the scores.
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/top_k.hpp>

#include <algorithm>
#include <cstring>

#include "paired.hpp"
#include "row_scores.hpp"

namespace kvsieve::bench {
namespace {
/// Room for the selections of all workers.
class selection {
 public:
  explicit selection(int tokens)
      : tokens_(tokens), memory_(bytes(tokens)), kept_(static_cast<std::size_t>(kv_heads * tokens)) {}

  void run(score_memory const& scores, int keep) {
    arena a(memory_.bytes());
    host::top_k_scratch scratch[most_workers];
    for (int w = 0; w < on().workers() && w < most_workers; ++w) scratch[w] = host::top_k_scratch::carve(a, tokens_);
    on().for_each(scores.heads(), [&](index h, int w) {
      host::top_k(scores.row(static_cast<int>(h)), tokens_, keep, forced_set{tokens_, 0, 0, nullptr, 0}, 0,
                  kept(static_cast<int>(h)), scratch[w]);
    });
  }
  [[nodiscard]] int* kept(int head) { return kept_.data() + head * tokens_; }

 private:
  static constexpr int most_workers = 256;
  static std::size_t bytes(int tokens) {
    arena a;
    for (int w = 0; w < on().workers(); ++w) (void)host::top_k_scratch::carve(a, tokens);
    return a.used();
  }
  int tokens_;
  workspace memory_;
  std::vector<int> kept_;
};

bool matches() {
  row_scores<score::key_norm, float> const scores(small_heads, small_tokens);
  scores.run(small_layer<float>());
  selection s(small_tokens);
  s.run(scores.out(), small_tokens / 2);
  for (int h = 0; h < small_heads; ++h) {
    float const* const row = scores.out().row(h);
    std::vector<double> const score(row, row + small_tokens);
    if (!std::ranges::equal(reference::top_k(score, small_tokens / 2), std::span(s.kept(h), small_tokens / 2)))
      return false;
  }
  return true;
}

auto const registered = register_shapes<float>("select/top_k", [](auto, benchmark::State& state, int tokens) {
  static bool const right = matches();
  if (!right) return state.SkipWithError("top-k differs from the reference");
  row_scores<score::key_norm, float> const scores(kv_heads, tokens);
  scores.run(cold_layer_of_keys<float>(tokens));
  score_memory const mine(kv_heads, tokens);  // the pass beside it overwrites its own
  std::memcpy(mine.rows().data, scores.out().rows().data,
              sizeof(float) * static_cast<std::size_t>(kv_heads * score_stride(tokens)));
  selection s(tokens);
  in_turns(
      state, "select/top_k", dtype::f32, tokens,
      {.limit = "key-norm pass (share)",
       .bytes = 4.0 * kv_heads * (tokens + tokens / 2),
       .goal = -0.05,
       .inverse = true},
      [&] { s.run(mine, tokens / 2); }, [&] { scores.run(cold_layer_of_keys<float>(tokens)); });
});
}  // namespace
}  // namespace kvsieve::bench
