// expected-error: kvsieve::plan on the device does not factor matrices
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/device/planner.hpp>
#include <kvsieve/presets.hpp>

struct launcher {
  static constexpr int threads = 128;
};
using layer = kvsieve::kv_layer<kvsieve::rows<float, 64>>;
#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::key_diff<>;
#else
using strategy = kvsieve::leverage<>;
#endif
using planner = kvsieve::device::planner<strategy, launcher, layer, kvsieve::device::no_queries>;
static_assert(sizeof(planner) > 0);
