// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Leverage against the machine's multiply-adds: the products of rows with rows (N D^2 / 2 of them) and a quadratic form
// of every row (N D sketch), which Expected Attention and CapKV are made of as well.
#include <kvsieve/host/score/score_leverage.hpp>
#include <kvsieve/presets.hpp>
#include <kvsieve/reference/leverage.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"

namespace kvsieve::bench {
namespace {
template <class T>
auto carve(arena& a, cache<T> const& layer) {
  return host::score_per_head<score::leverage>::carve(a, cs::span<cache<T> const>(&layer, 1),
                                                      cs::span<matrix<T> const>(), on().workers(), {});
}
template <class T>
std::size_t scratch_bytes(int heads, int tokens) {
  auto const keys = make_rows<head_dim>(static_cast<T const*>(nullptr), heads, tokens);
  arena a;
  (void)carve<T>(a, {keys, keys});
  return a.used();
}
template <class T>
void run(cache<T> const& layer, score_memory const& out, workspace const& scratch) {
  arena a(scratch.bytes());
  carve<T>(a, layer).run(on(), cs::span<cache<T> const>(&layer, 1), cs::span<matrix<T> const>(), out.rows());
}

template <class T>
bool matches() {
  auto const layer = small_layer<T>();
  score_memory const out(small_heads, small_tokens);
  run<T>(layer, out, workspace(scratch_bytes<T>(small_heads, small_tokens)));
  score::leverage::params const p;
  return deviation(out, 0, small_tokens, [&](int h, std::span<double> expected) {
           auto sketch = reference::zeros(head_dim, static_cast<std::size_t>(p.sketch));
           for (int d = 0; d < head_dim; ++d)
             for (int c = 0; c < p.sketch; ++c)
               sketch[static_cast<std::size_t>(d)][static_cast<std::size_t>(c)] =
                   score::leverage::sketch_entry(p, static_cast<cs::uint64_t>(h), d, c);
           reference::leverage(layer.keys, h, sketch, p.ridge, 0, 0, p.rope, expected);
         }) < 1e-4;
}

auto const registered =
    register_shapes<float, bf16>("score/leverage", [](auto type, benchmark::State& state, int tokens) {
      using T = decltype(type);
      static bool const right = matches<T>();
      if (!right) return state.SkipWithError("leverage differs from the reference");
      score_memory const out(kv_heads, tokens);
      workspace const scratch(scratch_bytes<T>(kv_heads, tokens));
      double const flops = 2.0 * kv_heads * tokens * head_dim * (head_dim / 2 + score::leverage::params{}.sketch);
      in_turns(
          state, "score/leverage", dtype_of<T>, tokens,
          {.limit = "multiply-adds of moments and form",
           .bytes = static_cast<double>(elements_of(tokens) * sizeof(T)),
           .flops = flops,
           .machine = measured_limits().flops,
           .scale = 1,
           .goal = 0.50},
          [&] { run<T>(cold_layer<T>(tokens), out, scratch); }, [&] { multiply_add(flops); });
    });
}  // namespace
}  // namespace kvsieve::bench
