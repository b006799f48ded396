// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// CUR against reading keys and values.
#include <kvsieve/host/score/score_per_row.hpp>
#include <kvsieve/reference/cur.hpp>
#include <kvsieve/score/cur.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "row_scores.hpp"

namespace kvsieve::bench {
namespace {
auto const registered = register_shapes<float, bf16>("score/cur", [](auto type, benchmark::State& state, int tokens) {
  using T = decltype(type);
  static bool const right = [] {
    auto const layer = small_layer<T>();
    row_scores<score::cur<>, T> const scores(small_heads, small_tokens);
    scores.run(layer);
    return deviation(scores.out(), 0, small_tokens, [&](int h, std::span<double> out) {
             reference::cur(layer.keys, layer.values, h, reference::cur_of::product, 16, out);
           }) < 1e-4;
  }();
  if (!right) return state.SkipWithError("CUR differs from the reference");
  row_scores<score::cur<>, T> const scores(kv_heads, tokens);
  double const bytes = static_cast<double>(2 * elements_of(tokens) * sizeof(T));
  in_turns(
      state, "score/cur", dtype_of<T>, tokens,
      {.limit = "read of K and V", .bytes = bytes, .machine = measured_limits().read, .goal = 0.80},
      [&] { scores.run(cold_layer<T>(tokens)); },
      [&] { read_sum(pool<T>().take(2 * elements_of(tokens)), 2 * elements_of(tokens) * sizeof(T)); });
});
}  // namespace
}  // namespace kvsieve::bench
