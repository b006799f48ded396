// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Moving the kept half of keys and values against a streaming copy of as many bytes.
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/compact.hpp>

#include <cstring>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"

namespace kvsieve::bench {
namespace {
using strategy_used = key_norm<>;

/// Views the next `kept` rows a head of the memory for results.
template <class T>
kv_layer<rows<T, head_dim>> cold_target(int heads, int kept) {
  std::size_t const count = static_cast<std::size_t>(heads) * static_cast<std::size_t>(kept) * head_dim;
  T* const p = reinterpret_cast<T*>(sink().take(2 * count * sizeof(T)));
  return {make_rows<head_dim>(p, heads, kept), make_rows<head_dim>(p + count, heads, kept)};
}

template <class T>
struct planned {
  explicit planned(cache<T> const& layer)
      : memory(workspace_bytes<strategy_used>(on(), layer, half())),
        plan(kvsieve::plan<strategy_used>(on(), layer, half(), memory.bytes())) {}
  static strategy_used::params half() {
    strategy_used::params p;
    p.budget.keep = 0.5;
    return p;
  }
  workspace memory;
  token_plan plan;
};

/// Every row where it belongs, in both tensors of the layer.
template <class T>
bool moved(token_plan const& plan, cache<T> const& from, kv_layer<rows<T, head_dim>> const& to) {
  for (int h = 0; h < plan.heads; ++h)
    for (int i = 0; i < plan.count(0, h); ++i) {
      index const t = plan.kept(0, h)[static_cast<std::size_t>(i)];
      if (std::memcmp(row_of(to.keys, h, i), row_of(from.keys, h, t), sizeof(T) * head_dim) != 0) return false;
      if (std::memcmp(row_of(to.values, h, i), row_of(from.values, h, t), sizeof(T) * head_dim) != 0) return false;
    }
  return true;
}

auto const registered =
    register_shapes<float, bf16>("evict/compact", [](auto type, benchmark::State& state, int tokens) {
      using T = decltype(type);
      auto const first = cold_layer<T>(tokens);
      planned<T> const p(first);
      int const kept = p.plan.count();
      auto const target = cold_target<T>(kv_heads, kept);
      if (!apply<strategy_used>(on(), p.plan, first, target) || !moved(p.plan, first, target))
        return state.SkipWithError("compaction moved a row wrongly");
      std::size_t const bytes = 2 * sizeof(T) * static_cast<std::size_t>(kept) * kv_heads * head_dim;
      status last;
      in_turns(
          state, "evict/compact", dtype_of<T>, tokens,
          {.limit = "streaming copy",
           .bytes = 2.0 * static_cast<double>(bytes),
           .machine = measured_limits().copy,
           .goal = 0.65},
          [&] { last = apply<strategy_used>(on(), p.plan, cold_layer<T>(tokens), cold_target<T>(kv_heads, kept)); },
          [&] { copy_streaming(sink().take(bytes), pool<T>().take(bytes / sizeof(T)), bytes); });
      if (!last) state.SkipWithError("apply refused its arguments");
    });
}  // namespace
}  // namespace kvsieve::bench
