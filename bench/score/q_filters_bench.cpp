// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Q-Filters against reading the keys.
#include <kvsieve/host/score/score_per_row.hpp>
#include <kvsieve/reference/q_filters.hpp>
#include <kvsieve/score/q_filters.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "row_scores.hpp"

namespace kvsieve::bench {
namespace {
std::vector<float> const& filters() {
  static std::vector<float> const all = [] {
    std::vector<float> f(static_cast<std::size_t>(kv_heads * head_dim));
    for (std::size_t i = 0; i < f.size(); ++i) f[i] = static_cast<float>(i * 7 % 13) - 6.0f;
    return f;
  }();
  return all;
}
score::q_filters::params filters_of(int heads) {
  return {.filter = {filters().data(), static_cast<std::size_t>(heads * head_dim)}};
}
auto const registered =
    register_shapes<float, bf16>("score/q_filters", [](auto type, benchmark::State& state, int tokens) {
      using T = decltype(type);
      static bool const right = row_scores_match<score::q_filters, T>(
          [](auto const& keys, int head, std::span<double> out) {
            reference::q_filters(
                keys, head, std::span(filters()).subspan(static_cast<std::size_t>(head * head_dim), head_dim), out);
          },
          filters_of(small_heads));
      if (!right) return state.SkipWithError("Q-Filters differ from the reference");
      row_scores<score::q_filters, T> const scores(kv_heads, tokens, filters_of(kv_heads));
      double const bytes = static_cast<double>(elements_of(tokens) * sizeof(T));
      in_turns(
          state, "score/q_filters", dtype_of<T>, tokens,
          {.limit = "read of K", .bytes = bytes, .machine = measured_limits().read, .goal = 0.80},
          [&] { scores.run(cold_layer_of_keys<T>(tokens)); },
          [&] { read_sum(pool<T>().take(elements_of(tokens)), elements_of(tokens) * sizeof(T)); });
    });
}  // namespace
}  // namespace kvsieve::bench
