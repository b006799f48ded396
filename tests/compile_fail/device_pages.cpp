// expected-error: kvsieve on the device walks rows by strides
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/paged.hpp>
#include <kvsieve/device/plan/planner.hpp>
#include <kvsieve/presets.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using rows = kvsieve::rows<float, 64>;
#else
using rows = kvsieve::rows<float, 64, kvsieve::layout_ragged_paged<16>>;
#endif

struct launcher {
  static constexpr int threads = 128;
};
using planner =
    kvsieve::device::planner<kvsieve::key_norm<>, launcher, kvsieve::kv_layer<rows>, kvsieve::device::no_queries>;
static_assert(sizeof(planner) > 0);
