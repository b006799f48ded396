// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores from observed queries, and whole plans by them.
#include "benches.hpp"
#include "plans.hpp"

namespace kvsieve::bench::gpu {
namespace {
/// Queries and keys read, scores written, one pass of the products of a window of queries with all keys.
template <class T>
cost of_window(int tokens) {
  return {row_bytes<T>(tokens) + static_cast<double>(query_heads * window * head_dim * sizeof(T)), score_bytes(tokens),
          2.0 * query_heads * window * head_dim * tokens};
}
template <class T>
void window_of(int tokens, int layers) {
  using window_scores = compressor<score::attention<observe::window>, aggregate::mean>;
  time_plan<window_scores, T>("score/attention_window", tokens, layers, window,
                              {.score = {.window = window}, .budget = {.tokens = 0}}, of_window<T>(tokens));
}
template <class T>
void snap_of(int tokens, int layers) {
  time_plan<snap_kv<>, T>("plan/snap_kv", tokens, layers, window,
                          {.score = {.window = window}, .budget = {.keep = 0.5}}, of_window<T>(tokens));
}
template <class T>
void h2o_of(int tokens) {
  double const rows = row_bytes<T>(tokens);
  time_plan<h2o<>, T>("plan/h2o", tokens, 1, tokens, {.budget = {.keep = 0.5}},
                      {rows + rows * query_heads / kv_heads, score_bytes(tokens),
                       2.0 * query_heads * head_dim * 0.5 * tokens * (tokens + 1.0)});
}
}  // namespace

void time_queries() {
  for (int const n : all_tokens) {
    window_of<float>(n, 1);
    window_of<bf16>(n, 1);
  }
  for (int const n : all_tokens) {
    snap_of<float>(n, 1);
    snap_of<bf16>(n, 1);
  }
  h2o_of<float>(4096);
  h2o_of<bf16>(4096);
  snap_of<float>(model_tokens, model_layers);
  snap_of<bf16>(model_tokens, model_layers);
}
}  // namespace kvsieve::bench::gpu
