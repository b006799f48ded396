// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Page bounds of a query for each query head against reading the keys.
#include <kvsieve/host/score/score_page_bound.hpp>
#include <kvsieve/reference/page_bound.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"

namespace kvsieve::bench {
namespace {
template <class T>
auto carve(arena& a, cache<T> const& layer, matrix<T> const& queries) {
  return host::score_per_head<score::page_bound<>>::carve(a, cs::span<cache<T> const>(&layer, 1),
                                                          cs::span<matrix<T> const>(&queries, 1), on().workers(), {});
}
template <class T>
std::size_t scratch_bytes(cache<T> const& layer, matrix<T> const& queries) {
  arena a;
  (void)carve<T>(a, layer, queries);
  return a.used();
}
template <class T>
void run(cache<T> const& layer, matrix<T> const& queries, score_memory const& out, workspace const& scratch) {
  arena a(scratch.bytes());
  carve<T>(a, layer, queries)
      .run(on(), cs::span<cache<T> const>(&layer, 1), cs::span<matrix<T> const>(&queries, 1), out.rows());
}

template <class T>
bool matches() {
  auto const layer = small_layer<T>();
  auto const queries = small_queries<T>(1);
  score_memory const out(small_heads, small_tokens);
  run<T>(layer, queries, out, workspace(scratch_bytes<T>(layer, queries)));
  constexpr int group = query_heads / kv_heads;
  return deviation(out, 0, small_tokens, [&](int h, std::span<double> expected) {
           reference::page_bound(layer.keys, queries, h, h * group, group, 16, 16, false, expected);
         }) < 1e-4;
}

auto const registered =
    register_shapes<float, bf16>("score/page_bound", [](auto type, benchmark::State& state, int tokens) {
      using T = decltype(type);
      static bool const right = matches<T>();
      if (!right) return state.SkipWithError("page_bound differs from the reference");
      auto const queries = some_queries<T>(1);
      auto const keys = make_rows<head_dim>(static_cast<T const*>(nullptr), kv_heads, tokens);
      score_memory const out(kv_heads, tokens);
      workspace const scratch(scratch_bytes<T>({keys, keys}, queries));
      double const bytes = static_cast<double>(elements_of(tokens) * sizeof(T));
      in_turns(
          state, "score/page_bound", dtype_of<T>, tokens,
          {.limit = "read of K", .bytes = bytes, .machine = measured_limits().read, .goal = 0.40},
          [&] {
            auto const cold = cold_keys<T>(tokens);
            run<T>({cold, cold}, queries, out, scratch);
          },
          [&] { read_sum(pool<T>().take(elements_of(tokens)), elements_of(tokens) * sizeof(T)); });
    });
}  // namespace
}  // namespace kvsieve::bench
