// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole plans of half the tokens: scoring, joining, pooling, selecting. What a caller waits for, and what peers are
// held against.
#include <kvsieve/kvsieve.hpp>

#include "limits.hpp"
#include "paired.hpp"
#include "scoring.hpp"

namespace kvsieve::bench {
namespace {
template <class C, int tensors>
int plans(char const* name) {
  return register_shapes<float, bf16>(name, [name](auto type, benchmark::State& state, int tokens) {
    using T = decltype(type);
    typename C::params p;
    p.budget.keep = 0.5;
    auto const with = [&](auto const& call) {
      if constexpr (reads(C::reads, needs::queries)) {
        auto const queries = some_queries<T>(window);
        return call(queries, p);
      } else {
        return call(p);
      }
    };
    auto const any = cold_layer<T>(tokens);
    workspace const memory(with([&](auto const&... rest) { return workspace_bytes<C>(on(), any, rest...); }));
    token_plan plan;
    auto const make = [&] {
      auto const layer = cold_layer<T>(tokens);
      plan = with([&](auto const&... rest) { return kvsieve::plan<C>(on(), layer, rest..., memory.bytes()); });
    };
    make();
    if (!plan || plan.count() != tokens / 2) return state.SkipWithError("no plan, or not of half the tokens");
    std::size_t const count = tensors * elements_of(tokens);
    in_turns(state, name, dtype_of<T>, tokens,
             {.limit = tensors == 1 ? "read of K" : "read of K and V",
              .bytes = static_cast<double>(count * sizeof(T)),
              .machine = measured_limits().read},
             make, [&] { read_sum(pool<T>().take(count), count * sizeof(T)); });
  });
}
int const registered = plans<key_norm<>, 1>("plan/key_norm") + plans<key_diff<>, 1>("plan/key_diff") +
                       plans<lag_kv<>, 2>("plan/lag_kv") + plans<snap_kv<>, 1>("plan/snap_kv");
}  // namespace
}  // namespace kvsieve::bench
