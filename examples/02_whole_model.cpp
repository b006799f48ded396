// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// All layers of several sequences in one call, in an engine's own buffers (token-major, bf16) and on its own threads.
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include <kvsieve/kvsieve.hpp>

namespace kvs = kvsieve;

int main() {
  constexpr int layers = 3, Hkv = 2, D = 64;
  int const lengths[] = {700, 1300};  // two sequences
  std::mt19937 random(2);
  std::normal_distribution<float> normal;

  // The engine keeps a token's heads together: [N, Hkv, D], so a head's rows lie Hkv * D apart.
  std::vector<std::vector<kvs::bf16>> buffers;
  using rows = kvs::rows<kvs::bf16, D>;
  std::vector<kvs::kv_layer<rows>> views;
  for (int const n : lengths)
    for (int l = 0; l < layers; ++l) {
      for (int kv = 0; kv < 2; ++kv) {
        auto& b = buffers.emplace_back(static_cast<std::size_t>(n) * Hkv * D);
        for (auto& x : b) x = kvs::from_float<kvs::bf16>(normal(random));
      }
      auto const view = [&](std::vector<kvs::bf16>& b) { return kvs::make_rows<D>(b.data(), Hkv, n, D, Hkv * D); };
      views.push_back({view(buffers[buffers.size() - 2]), view(buffers.back())});
    }
  cuda::std::span<kvs::kv_layer<rows> const> const group(views.data(), views.size());

  // Your thread pool: anything that calls f(0) ... f(n - 1).
  auto const parallel_for = [](int n, auto const& f) {
    std::vector<std::thread> threads;
    for (int i = 1; i < n; ++i) threads.emplace_back([&f, i] { f(i); });
    f(0);
    for (auto& t : threads) t.join();
  };
  kvs::host::on on{2, parallel_for};

  using strategy = kvs::key_diff<>;
  strategy::params const params{.budget = {.keep = 0.5}, .select = {.sink = 4, .recent = 32}};
  std::size_t const bytes = kvs::workspace_bytes<strategy>(on, group, params);
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(64, bytes / 64 * 64 + 64));
  auto const plan = kvs::plan<strategy>(on, group, params, {memory, bytes});
  if (!plan || !kvs::apply<strategy>(on, plan, group)) return EXIT_FAILURE;

  bool right = true;
  for (int v = 0; v < plan.views; ++v) {
    std::printf("view %d: %d of %d tokens\n", v, plan.count(v), plan.tokens(v));
    right = right && plan.count(v) == plan.tokens(v) / 2;
  }
  std::free(memory);
  return right ? EXIT_SUCCESS : EXIT_FAILURE;
}
