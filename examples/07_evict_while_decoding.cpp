// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A cache that stays as small as it is while a model generates: the attention of every new token also remembers what
// each entry got (fused observation), and H2O evicts by that. One layer, a thousand steps in 256 entries.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include <kvsieve/online.hpp>

namespace kvs = kvsieve;

namespace {
constexpr int Hkv = 2, Hq = 8, D = 64, prompt = 400, steps = 1000;

/// Aligned memory that calls work in.
struct room {
  std::size_t size;
  std::unique_ptr<std::byte, void (*)(void*)> memory{
      static_cast<std::byte*>(std::aligned_alloc(64, size / 64 * 64 + 64)), [](void* p) { std::free(p); }};
  [[nodiscard]] std::span<std::byte> span() const { return {memory.get(), size}; }
};
template <class T>
cuda::std::span<T> one(T& x) {
  return {&x, 1};
}
}  // namespace

int main() {
  using policy = kvs::online::h2o<>;
  using watched = policy::aggregate_policy;
  kvs::eviction_schedule const schedule{.tokens = 256, .every = 8};  // evicts at every eighth step, down to 256
  policy::params const params{.budget = {.tokens = schedule.tokens}};
  constexpr int most = prompt + 1;  // rows that a head has room for: the prompt comes first
  kvs::host::team team{2};
  kvs::host::on on{team};

  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> k(Hkv * most * D), v(k.size()), q(Hq * D), out(Hq * D);
  auto const row = [&](std::vector<float>& of, int head, int token) { return &of[(head * most + token) * D]; };
  auto const append = [&](int token) {  // what the layer computes of a token
    for (int h = 0; h < Hkv; ++h)
      for (auto* x : {row(k, h, token), row(v, h, token)})
        for (int d = 0; d < D; ++d) x[d] = normal(random);
  };
  auto const layer = [&](int entries) {
    return kvs::kv_layer{kvs::make_rows<D>(k.data(), Hkv, entries, most * D, D),
                         kvs::make_rows<D>(v.data(), Hkv, entries, most * D, D)};
  };
  for (int t = 0; t < prompt; ++t) append(t);

  constexpr int capacity = kvs::round_up<int>(most, 16);
  std::vector<float> remembered(static_cast<std::size_t>(kvs::observed_state<watched>::floats(Hq, capacity)));
  auto state = kvs::make_observed_state<watched>(remembered.data(), Hq, capacity, params.aggregate);

  int entries = prompt, evictions = 0, largest = 0;
  for (int step = 1; step <= steps; ++step) {
    append(entries++);
    for (float& x : q) x = normal(random);
    auto const query = kvs::make_rows<D>(static_cast<float const*>(q.data()), Hq, 1);
    auto const cache = layer(entries);
    room const attending{kvs::attend_observed_workspace_bytes<watched>(on, one(query), one(cache))};
    auto const output = kvs::make_rows<D>(out.data(), Hq, 1);
    if (!kvs::attend_observed<watched>(on, one(query), one(cache), one(output), one(state), params.aggregate,
                                       attending.span()))
      return EXIT_FAILURE;
    if (!schedule.due(entries, step)) continue;

    cuda::std::span<kvs::observed_state<watched> const> const states(&state, 1);
    cuda::std::span<int const> const counts(&entries, 1);
    room const planning{kvs::plan_observed_workspace_bytes<policy>(on, states, counts, Hkv, params)};
    auto const plan = kvs::plan_observed<policy>(on, states, counts, Hkv, params, planning.span());
    if (!kvs::apply_observed(on, plan, one(cache), states, params.aggregate)) return EXIT_FAILURE;
    entries = plan.count(0);
    largest = std::max(largest, entries);
    ++evictions;
  }
  std::printf("%d tokens passed; %d evictions left at most %d, and %d entries at the end\n", prompt + steps, evictions,
              largest, entries);
  bool const bounded = largest == schedule.tokens && entries < schedule.tokens + schedule.every;
  return bounded && evictions == steps / schedule.every && std::isfinite(out[0]) ? EXIT_SUCCESS : EXIT_FAILURE;
}
