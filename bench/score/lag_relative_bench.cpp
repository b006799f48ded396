// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// LagKV, ranked, against reading keys and values once.
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/lag_relative.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"

namespace kvsieve::bench {
namespace {
template <class T>
void run(cache<T> const& layer, score_memory const& out, workspace const& scratch) {
  arena a(scratch.bytes());
  cs::span<cache<T> const> const layers(&layer, 1);
  host::score_per_chunk<score::lag_relative>::carve(a, layers, on().workers(), {}).run(on(), layers, out.rows());
}
std::size_t scratch_bytes() {
  cache<float> const none{};
  arena a;
  (void)host::score_per_chunk<score::lag_relative>::carve(a, cs::span<cache<float> const>(&none, 1), on().workers(),
                                                          {});
  return a.used();
}

template <class T>
bool matches() {
  auto const layer = small_layer<T>();
  score_memory const out(small_heads, small_tokens);
  run(layer, out, workspace(scratch_bytes()));
  partition const q = score::lag_relative::partitions({}, small_tokens);
  // Ranks: neighbours may change places where their values differ in the last bits.
  return deviation(out, q.begin, q.begin + q.count * q.length, [&](int h, std::span<double> expected) {
           reference::lag_relative(layer.keys, layer.values, h, q.begin, q.length, expected);
         }) < 2.5 / q.length;
}

auto const registered = register_shapes<float, bf16>("score/lag_relative", [](auto type, benchmark::State& state,
                                                                              int tokens) {
  using T = decltype(type);
  static bool const right = matches<T>();
  if (!right) return state.SkipWithError("LagKV differs from the reference");
  score_memory const out(kv_heads, tokens);
  workspace const scratch(scratch_bytes());
  std::size_t const count = 2 * elements_of(tokens);
  in_turns(
      state, "score/lag_relative", dtype_of<T>, tokens,
      {.limit = "read of K and V",
       .bytes = static_cast<double>(count * sizeof(T)),
       .machine = measured_limits().read,
       .goal = 0.65},
      [&] { run(cold_layer<T>(tokens), out, scratch); }, [&] { read_sum(pool<T>().take(count), count * sizeof(T)); });
});
}  // namespace
}  // namespace kvsieve::bench
