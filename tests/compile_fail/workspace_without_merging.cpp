// expected-error: kvsieve::apply: this strategy drops what it does not keep
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::snap_kv<kvsieve::evict::merge_nearest>;
#else
using strategy = kvsieve::snap_kv<>;
#endif
std::size_t bytes(kvsieve::token_plan const& plan, float* cache) {
  kvsieve::kv_layer const layer{kvsieve::make_rows<64>(cache, 1, 100), kvsieve::make_rows<64>(cache + 6400, 1, 100)};
  return kvsieve::apply_workspace_bytes<strategy>(kvsieve::host::on{}, plan, layer, {});
}
