// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KVzap's network against the machine's multiply-adds.
#include <kvsieve/host/score/score_per_hidden.hpp>
#include <kvsieve/reference/kv_zap.hpp>
#include <kvsieve/score/kv_zap.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"
#include "shapes.hpp"
#include "team.hpp"

namespace kvsieve::bench {
namespace {
constexpr int width = kv_heads * head_dim, units = 512;  // the keys of a token serve as its hidden state

cs::span<float const> numbers(std::size_t count) {
  static std::vector<float> const all = [] {
    std::vector<float> f(static_cast<std::size_t>(units * width));
    for (std::size_t i = 0; i < f.size(); ++i) f[i] = static_cast<float>(i * 7 % 13) * 0.01f - 0.06f;
    return f;
  }();
  return {all.data(), count};
}

template <class T>
void run(T const* states, int heads, int tokens, score_memory const& out, workspace const& scratch) {
  hidden_rows const hidden{states, dtype_of<T>, tokens, width, width};
  auto const keys = make_rows<head_dim>(states, heads, tokens);
  cache<T> const layer{keys, keys};
  cs::span<cache<T> const> const layers(&layer, 1);
  score::kv_zap::params const params{.hidden = {&hidden, 1},
                                     .width = width,
                                     .units = units,
                                     .weight = numbers(static_cast<std::size_t>(units * width)),
                                     .bias = numbers(units),
                                     .out_weight = numbers(static_cast<std::size_t>(heads * units)),
                                     .out_bias = numbers(static_cast<std::size_t>(heads))};
  arena a(scratch.bytes());
  host::score_per_hidden<score::kv_zap>::carve(a, layers, on().workers(), params).run(on(), layers, out.rows());
}

template <class T>
bool matches() {
  constexpr int tokens = 150;
  T const* const states = pool<T>().take(static_cast<std::size_t>(tokens * width));
  score_memory const out(small_heads, tokens);
  workspace const scratch(std::size_t{1} << 23);
  run<T>(states, small_heads, tokens, out, scratch);
  return deviation(out, 0, tokens, [&](int h, std::span<double> expected) {
           for (std::size_t t = 0; t < expected.size(); ++t) {
             std::vector<double> x(width);
             for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(to_float(states[t * width + i]));
             auto const table = [](cs::span<float const> s) { return std::span<float const>(s.data(), s.size()); };
             expected[t] = reference::kv_zap(table(numbers(static_cast<std::size_t>(units * width))),
                                             table(numbers(units)), table(numbers(small_heads * units)),
                                             table(numbers(small_heads)), x)[static_cast<std::size_t>(h)];
           }
         }) < 1e-4;
}

auto const registered =
    register_shapes<float, bf16>("score/kv_zap", [](auto type, benchmark::State& state, int tokens) {
      using T = decltype(type);
      static bool const right = matches<T>();
      if (!right) return state.SkipWithError("KVzap differs from the reference");
      score_memory const out(kv_heads, tokens);
      workspace const scratch(std::size_t{1} << 24);
      double const flops = 2.0 * tokens * units * (width + kv_heads);
      constexpr double part = 8;
      in_turns(
          state, "score/kv_zap", dtype_of<T>, tokens,
          {.limit = "multiply-adds",
           .bytes = static_cast<double>(elements_of(tokens) * sizeof(T)),
           .flops = flops,
           .machine = measured_limits().flops,
           .scale = part,
           .goal = 0.50},
          [&] { run<T>(pool<T>().take(elements_of(tokens)), kv_heads, tokens, out, scratch); },
          [&] { multiply_add(flops / part); });
    });
}  // namespace
}  // namespace kvsieve::bench
