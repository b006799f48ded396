// expected-error: kvsieve::apply: cache and result have the same element types
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using stored = kvsieve::f16;
#else
using stored = kvsieve::bf16;
#endif
kvsieve::status run(kvsieve::token_plan const& plan, kvsieve::f16* cache, stored* result) {
  kvsieve::kv_layer const from{kvsieve::make_rows<64>(cache, 1, 100), kvsieve::make_rows<64>(cache, 1, 100)};
  kvsieve::kv_layer const to{kvsieve::make_rows<64>(result, 1, 50), kvsieve::make_rows<64>(result, 1, 50)};
  return kvsieve::apply<kvsieve::key_norm<>>(kvsieve::host::on{}, plan, from, to);
}
