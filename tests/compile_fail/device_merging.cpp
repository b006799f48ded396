// expected-error: kvsieve::apply on the device merges rows of elements
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/device/evict/merger.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/presets.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using rows = kvsieve::rows<float, 64>;
#else
using rows = kvsieve::encoded_rows<kvsieve::encode::q8_0, 64>;
#endif

struct launcher {
  static constexpr int threads = 128;
};
using strategy = kvsieve::key_diff<kvsieve::evict::merge_on_evict>;
using call = kvsieve::device::merge_call<strategy, launcher, kvsieve::token_plan, kvsieve::kv_layer<rows>>;
static_assert(sizeof(call) > 0);
