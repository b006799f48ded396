// expected-error: kvsieve: the head dimension must be a multiple of 16, up to 512
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

kvsieve::token_plan run(float const* keys, std::span<std::byte> workspace) {
#if defined(KVSIEVE_SHOULD_COMPILE)
  constexpr int D = 80;
#else
  constexpr int D = 72;
#endif
  kvsieve::kv_layer const cache{kvsieve::make_rows<D>(keys, 2, 100), kvsieve::make_rows<D>(keys, 2, 100)};
  return kvsieve::plan<kvsieve::key_norm<>>(kvsieve::host::on{}, cache, {}, workspace);
}
