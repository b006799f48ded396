// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Decode attention, one query a head, against reading keys and values once.
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/attend.hpp>

#include <cmath>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"

namespace kvsieve::bench {
namespace {
template <class T>
bool matches() {
  auto const layer = small_layer<T>();
  auto const query = small_queries<T>(1);
  int const heads = static_cast<int>(query.extent(0));
  std::vector<float> out(static_cast<std::size_t>(heads * head_dim));
  auto const view = make_rows<head_dim>(out.data(), heads, 1);
  workspace const memory(attend_workspace_bytes(on(), query, layer));
  if (!attend(on(), query, layer, view, memory.bytes())) return false;
  for (int h = 0; h < heads; ++h) {
    std::vector<double> expected(head_dim);
    reference::attend(query, h, layer.keys, layer.values, h / (heads / small_heads), expected);
    for (int d = 0; d < head_dim; ++d)
      if (!(std::abs(expected[static_cast<std::size_t>(d)] - static_cast<double>(view(h, 0, d))) < 1e-5)) return false;
  }
  return true;
}

auto const registered =
    register_shapes<float, bf16, f16>("attend/dense", [](auto type, benchmark::State& state, int tokens) {
      using T = decltype(type);
      static bool const right = matches<T>();
      if (!right) return state.SkipWithError("decode attention differs from the reference");
      auto const query = some_queries<T>(1);
      std::vector<float> out(static_cast<std::size_t>(query_heads * head_dim));
      auto const view = make_rows<head_dim>(out.data(), query_heads, 1);
      workspace const memory(attend_workspace_bytes(on(), query, cold_layer<T>(tokens)));
      std::size_t const count = 2 * elements_of(tokens);
      status last;
      in_turns(
          state, "attend/dense", dtype_of<T>, tokens,
          {.limit = "read of K and V",
           .bytes = static_cast<double>(count * sizeof(T)),
           .machine = measured_limits().read,
           .goal = 0.75},
          [&] { last = attend(on(), query, cold_layer<T>(tokens), view, memory.bytes()); },
          [&] { read_sum(pool<T>().take(count), count * sizeof(T)); });
      if (!last) state.SkipWithError("attend refused its arguments");
    });
}  // namespace
}  // namespace kvsieve::bench
