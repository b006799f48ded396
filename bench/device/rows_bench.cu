// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores of rows and chunks. A score alone is a plan that keeps nothing, so that its selection ends at once.
#include "benches.hpp"
#include "plans.hpp"

namespace kvsieve::bench::gpu {
namespace {
constexpr closeness cosines{1e-4, 0.1};

template <class T>
void scores_of(int tokens, int layers) {
  double const rows = row_bytes<T>(tokens), out = score_bytes(tokens);
  time_plan<key_norm<>, T>("score/key_norm", tokens, layers, 0, {.budget = {.tokens = 0}}, {rows, out, 0});
  // Two reads: the mean direction has to be known before a key can be compared with it.
  time_plan<key_diff<>, T>("score/key_diff", tokens, layers, 0, {.budget = {.tokens = 0}}, {2 * rows, out, 0}, cosines);
  // Ranks of two shares that are equal up to rounding may be exchanged.
  constexpr int lag = 1024;
  time_plan<lag_kv<>, T>("score/lag_relative", tokens, layers, 0, {.score = {.lag = lag}, .budget = {.tokens = 0}},
                         {2 * rows, out, 0}, {4.01 / lag, 1});
}
template <class T>
void plans_of(int tokens, int layers) {
  time_plan<key_diff<>, T>("plan/key_diff", tokens, layers, 0, {.budget = {.keep = 0.5}, .select = {.sink = 4}},
                           {2 * row_bytes<T>(tokens), 3 * score_bytes(tokens) / 2, 0}, cosines);
}
}  // namespace

void time_rows() {
  for (int const n : all_tokens) {
    scores_of<float>(n, 1);
    scores_of<bf16>(n, 1);
  }
  for (int const n : all_tokens) {
    plans_of<float>(n, 1);
    plans_of<bf16>(n, 1);
  }
  scores_of<bf16>(model_tokens, model_layers);
  plans_of<float>(model_tokens, model_layers);
  plans_of<bf16>(model_tokens, model_layers);
}
}  // namespace kvsieve::bench::gpu
