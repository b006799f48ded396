// expected-error: kvsieve::plan: this strategy observes queries: pass them after the cache, as rows [Hq, W, D]
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

kvsieve::token_plan run(float const* keys, float const* values, [[maybe_unused]] float const* queries,
                        std::span<std::byte> workspace) {
  kvsieve::kv_layer const cache{kvsieve::make_rows<64>(keys, 2, 100), kvsieve::make_rows<64>(values, 2, 100)};
  kvsieve::host::on const on;
#if defined(KVSIEVE_SHOULD_COMPILE)
  return kvsieve::plan<kvsieve::snap_kv<>>(on, cache, kvsieve::make_rows<64>(queries, 4, 64), {}, workspace);
#else
  return kvsieve::plan<kvsieve::snap_kv<>>(on, cache, {}, workspace);
#endif
}
