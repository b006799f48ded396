// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compress one layer's cache after the prompt was read, and decode against what is left.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include <kvsieve/kvsieve.hpp>

namespace kvs = kvsieve;

int main() {
  // What an engine has after prefill: keys and values [Hkv, N, D], and the queries of the last 64 positions [Hq, 64,
  // D].
  constexpr int Hkv = 2, Hq = 8, N = 1024, D = 64, W = 64;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> k(Hkv * N * D), v(k.size()), q(Hq * W * D);
  for (auto* x : {&k, &v, &q})
    for (float& e : *x) e = normal(random);

  // [readme]
  using my_cache = kvs::snap_kv<>;  // a published method; kvs::snap_kv<kvs::smooth::max> overrides a part
  my_cache::params params{.score = {.window = W}, .budget = {.keep = 0.25}, .select = {.sink = 4}};

  kvs::host::team team{2};  // standing threads, yours; host::on{} runs inline
  kvs::host::on on{team};
  kvs::kv_layer cache{kvs::make_rows<D>(k.data(), Hkv, N), kvs::make_rows<D>(v.data(), Hkv, N)};
  auto const queries = kvs::make_rows<D>(static_cast<float const*>(q.data()), Hq, W);

  std::size_t const bytes = kvs::workspace_bytes<my_cache>(on, cache, queries, params);
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(64, bytes / 64 * 64 + 64));

  kvs::token_plan const plan = kvs::plan<my_cache>(on, cache, queries, params, {memory, bytes});
  if (!plan) return EXIT_FAILURE;  // plan.state.message(buffer) says which argument, and both values
  if (!kvs::apply<my_cache>(on, plan, cache)) return EXIT_FAILURE;  // in place: kept rows move to the front

  kvs::kv_layer const kept{kvs::make_rows<D>(k.data(), Hkv, plan.count(), N * D, D),
                           kvs::make_rows<D>(v.data(), Hkv, plan.count(), N * D, D)};
  // [readme]
  std::printf("kept %d of %d tokens a head; the next token still has position %d\n", plan.count(), N, plan.tokens());

  std::vector<float> out(Hq * D);
  auto const query = kvs::make_rows<D>(static_cast<float const*>(q.data()), Hq, 1, W * D, D);
  auto const output = kvs::make_rows<D>(out.data(), Hq, 1);
  std::size_t const attend_bytes = kvs::attend_workspace_bytes(on, query, kept);
  auto* const attend_memory = static_cast<std::byte*>(std::aligned_alloc(64, attend_bytes / 64 * 64 + 64));
  bool const attended = static_cast<bool>(kvs::attend(on, query, kept, output, {attend_memory, attend_bytes}));
  std::printf("first output channel: %f\n", static_cast<double>(out[0]));
  bool const right = attended && plan.count() == N / 4;
  std::free(memory);  // the plan lives in it
  std::free(attend_memory);
  return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
