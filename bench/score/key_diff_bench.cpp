// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KeyDiff against reading the keys twice: the mean direction has to be known before a key can be held against it.
#include <kvsieve/reference/key_diff.hpp>
#include <kvsieve/score/key_diff.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "row_scores.hpp"

namespace kvsieve::bench {
namespace {
auto const registered =
    register_shapes<float, bf16>("score/key_diff", [](auto type, benchmark::State& state, int tokens) {
      using T = decltype(type);
      static bool const right = row_scores_match<score::key_diff, T>(
          [](auto const& keys, int head, std::span<double> out) { reference::key_diff(keys, head, out); });
      if (!right) return state.SkipWithError("KeyDiff differs from the reference");
      row_scores<score::key_diff, T> const scores(kv_heads, tokens);
      double const bytes = static_cast<double>(elements_of(tokens) * sizeof(T));
      auto const read = [&] { read_sum(pool<T>().take(elements_of(tokens)), elements_of(tokens) * sizeof(T)); };
      // One cold read is timed and counted twice; bytes are those of one read.
      in_turns(
          state, "score/key_diff", dtype_of<T>, tokens,
          {.limit = "two reads of K", .bytes = bytes, .machine = measured_limits().read, .scale = 2, .goal = 0.90},
          [&] { scores.run(cold_layer_of_keys<T>(tokens)); }, read);
      state.counters["of_two_reads"] =
          benchmark::Counter(2 * bytes / (measured_limits().read * 1e9), benchmark::Counter::kIsIterationInvariantRate);
    });
}  // namespace
}  // namespace kvsieve::bench
