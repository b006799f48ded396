// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compress while the layers of a prompt are computed: with each layer that arrives, those before it give up tokens, so
// that the cache never holds much more than its budget and one layer (CAKE's cascade).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <span>
#include <vector>

#include <kvsieve/host/cascade.hpp>
#include <kvsieve/kvsieve.hpp>

namespace kvs = kvsieve;

int main() {
  constexpr int layers = 6, Hkv = 2, Hq = 8, N = 1024, D = 64, W = 32, cap = 256;
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  auto const buffer = [](std::size_t bytes) { return std::vector<std::byte>(bytes + 64); };
  auto const aligned = [](std::vector<std::byte>& b) {
    auto const past = reinterpret_cast<std::uintptr_t>(b.data()) % 64;
    return std::span(b).subspan(past == 0 ? 0 : 64 - past);
  };

  using method = kvs::cake<>;
  method::params params{.score = {.window = W}};
  params.budget.tokens = cap;
  auto whole_model = params.budget;
  whole_model.layers = layers;
  using cascade = kvs::host::cascade<method::budget_policy>;
  kvs::host::team team{2};
  kvs::host::on on{team};
  auto state = buffer(cascade::state_bytes(whole_model, params.select, Hkv, N));
  cascade arriving(whole_model, params.select, Hkv, N, aligned(state));
  if (!arriving.state()) return EXIT_FAILURE;

  using rows = kvs::rows<float, D>;
  std::vector<std::vector<float>> memory;
  std::vector<kvs::kv_layer<rows>> cache;  // the layers that have come, as they lie there now
  bool right = true;
  for (int l = 0; l < layers; ++l) {
    // The engine computes a layer. Later ones look at fewer tokens here.
    std::vector<float> queries(Hq * W * D);
    for (float& x : queries) x = normal(random) * static_cast<float>(1 + l);
    for (int kv = 0; kv < 2; ++kv)
      for (float& x : memory.emplace_back(Hkv * N * D)) x = normal(random);
    cache.push_back(
        {kvs::make_rows<D>(memory[memory.size() - 2].data(), Hkv, N), kvs::make_rows<D>(memory.back().data(), Hkv, N)});

    auto const observed = kvs::make_rows<D>(static_cast<float const*>(queries.data()), Hq, W);
    cuda::std::span<kvs::kv_layer<rows> const> const newest(&cache.back(), 1);
    cuda::std::span<kvs::rows<float const, D> const> const last_queries(&observed, 1);
    auto room = buffer(kvs::score_tokens_workspace_bytes<method>(on, newest, last_queries, params));
    auto const scores = kvs::score_tokens<method>(on, newest, last_queries, params, aligned(room));

    auto workspace = buffer(arriving.workspace_bytes(on));
    auto const plan = arriving.add(on, scores, aligned(workspace));
    cuda::std::span<kvs::kv_layer<rows> const> const all(cache.data(), cache.size());
    if (!plan || !kvs::apply<method>(on, plan, all)) return EXIT_FAILURE;

    int held = 0;
    std::printf("layer %d came:", l);
    for (int v = 0; v < plan.views; ++v) {
      int const n = plan.count(v);
      auto& view = cache[static_cast<std::size_t>(v)];
      auto const shorter = [&](rows const& r) {
        return kvs::make_rows<D>(r.data_handle(), Hkv, n, r.stride(0), r.stride(1));
      };
      view = {shorter(view.keys), shorter(view.values)};
      held += n;
      std::printf(" %d", n);
    }
    std::printf(" tokens a head, %d together\n", held);
    right = right && held <= cap * layers;
  }
  return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
