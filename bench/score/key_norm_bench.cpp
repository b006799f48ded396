// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Key norm against reading the keys.
#include <kvsieve/host/score/score_per_row.hpp>
#include <kvsieve/reference/key_norm.hpp>
#include <kvsieve/score/key_norm.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "row_scores.hpp"

namespace kvsieve::bench {
namespace {
auto const registered =
    register_shapes<float, bf16>("score/key_norm", [](auto type, benchmark::State& state, int tokens) {
      using T = decltype(type);
      static bool const right = row_scores_match<score::key_norm, T>(
          [](auto const& keys, int head, std::span<double> out) { reference::key_norm(keys, head, out); });
      if (!right) return state.SkipWithError("key norm differs from the reference");
      row_scores<score::key_norm, T> const scores(kv_heads, tokens);
      double const bytes = static_cast<double>(elements_of(tokens) * sizeof(T));
      in_turns(
          state, "score/key_norm", dtype_of<T>, tokens,
          {.limit = "read of K", .bytes = bytes, .machine = measured_limits().read, .goal = 0.80},
          [&] { scores.run(cold_layer_of_keys<T>(tokens)); },
          [&] { read_sum(pool<T>().take(elements_of(tokens)), elements_of(tokens) * sizeof(T)); });
    });
}  // namespace
}  // namespace kvsieve::bench
