// expected-error: kvsieve::apply on the device merges rows by strides or of one table of pages
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/paged.hpp>
#include <kvsieve/device/evict/merger.hpp>
#include <kvsieve/presets.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using rows = kvsieve::rows<float, 64>;
#else
using rows = kvsieve::rows<float, 64, kvsieve::layout_ragged_paged<16>>;
#endif

struct launcher {
  static constexpr int threads = 128;
};
using strategy = kvsieve::key_diff<kvsieve::evict::merge_on_evict>;
using call = kvsieve::device::merge_call<strategy, launcher, kvsieve::token_plan, kvsieve::kv_layer<rows>>;
static_assert(sizeof(call) > 0);
