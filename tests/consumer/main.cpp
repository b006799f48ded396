// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A program of somebody who found kvsieve by find_package, FetchContent or add_subdirectory.
#include <cstdio>
#include <vector>

#include <kvsieve/kvsieve.hpp>

namespace kvs = kvsieve;

int main() {
  constexpr int Hkv = 2, N = 64, D = 64;
  std::vector<float> k(Hkv * N * D), v(k.size());
  for (std::size_t i = 0; i < k.size(); ++i) k[i] = static_cast<float>(i * 7919 % 101) - 50.0f, v[i] = 1.0f;
  using strategy = kvs::key_diff<>;
  strategy::params const params{.budget = {.keep = 0.5}};
  kvs::host::on const on;
  kvs::kv_layer const cache{kvs::make_rows<D>(k.data(), Hkv, N), kvs::make_rows<D>(v.data(), Hkv, N)};
  std::vector<std::byte> memory(kvs::workspace_bytes<strategy>(on, cache, params) + 64);
  std::size_t const skip = (64 - reinterpret_cast<std::uintptr_t>(memory.data()) % 64) % 64;
  auto const plan = kvs::plan<strategy>(on, cache, params, std::span(memory).subspan(skip));
  std::printf("kvsieve %s kept %d of %d\n", KVSIEVE_VERSION_STRING, plan ? plan.count() : -1, N);
  return plan && plan.count() == N / 2 && kvs::apply<strategy>(on, plan, cache) ? 0 : 1;
}
