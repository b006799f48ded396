// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A score of your own: an empty struct that names its stage, what it reads, and what a fragment of a row adds. It runs
// with every budget, selection and storage, and its body is the one that kernels use too.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <kvsieve/kvsieve.hpp>

namespace kvs = kvsieve;

/// Tokens whose keys have a large mean magnitude stay.
struct mean_magnitude : kvs::policy_base<kvs::stages::score, kvs::needs::keys> {
  using pattern = kvs::patterns::per_row;
  static constexpr bool summarises = false;

  template <class F>
  KVSIEVE_HD static F term(F key) {
    return max(key, -key);
  }
  template <class S>
  KVSIEVE_HD static S score(S sum) {
    return sum;
  }
};

int main() {
  constexpr int Hkv = 1, N = 100, D = 64;
  std::vector<float> k(Hkv * N * D, 0.25f), v(k.size(), 1.0f);
  for (int d = 0; d < D; ++d) k[17 * D + d] = d % 2 == 0 ? 3.0f : -3.0f;  // the token that should stay

  using strategy = kvs::compressor<mean_magnitude>;
  strategy::params const params{.budget = {.tokens = 1}};
  kvs::host::on const on;
  kvs::kv_layer const cache{kvs::make_rows<D>(k.data(), Hkv, N), kvs::make_rows<D>(v.data(), Hkv, N)};
  std::size_t const bytes = kvs::workspace_bytes<strategy>(on, cache, params);
  auto* const memory = static_cast<std::byte*>(std::aligned_alloc(64, bytes / 64 * 64 + 64));
  auto const plan = kvs::plan<strategy>(on, cache, params, {memory, bytes});
  int const kept = plan ? plan.kept(0, 0)[0] : -1;
  std::printf("kept token %d\n", kept);
  std::free(memory);
  return kept == 17 ? EXIT_SUCCESS : EXIT_FAILURE;
}
