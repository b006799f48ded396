// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The value-key ratio against reading keys and values.
#include <kvsieve/host/score/score_per_row.hpp>
#include <kvsieve/reference/value_key_ratio.hpp>
#include <kvsieve/score/value_key_ratio.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "row_scores.hpp"

namespace kvsieve::bench {
namespace {
auto const registered =
    register_shapes<float, bf16>("score/value_key_ratio", [](auto type, benchmark::State& state, int tokens) {
      using T = decltype(type);
      static bool const right = [] {
        auto const layer = small_layer<T>();
        row_scores<score::value_key_ratio, T> const scores(small_heads, small_tokens);
        scores.run(layer);
        return deviation(scores.out(), 0, small_tokens, [&](int h, std::span<double> out) {
                 reference::value_key_ratio(layer.keys, layer.values, h, out);
               }) < 1e-4;
      }();
      if (!right) return state.SkipWithError("the value-key ratio differs from the reference");
      row_scores<score::value_key_ratio, T> const scores(kv_heads, tokens);
      double const bytes = static_cast<double>(2 * elements_of(tokens) * sizeof(T));
      in_turns(
          state, "score/value_key_ratio", dtype_of<T>, tokens,
          {.limit = "read of K and V", .bytes = bytes, .machine = measured_limits().read, .goal = 0.80},
          [&] { scores.run(cold_layer<T>(tokens)); },
          [&] { read_sum(pool<T>().take(2 * elements_of(tokens)), 2 * elements_of(tokens) * sizeof(T)); });
    });
}  // namespace
}  // namespace kvsieve::bench
