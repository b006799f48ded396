// expected-error: kvsieve::plan on the device does not project values
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/device/planner.hpp>
#include <kvsieve/presets.hpp>
#include <kvsieve/weigh/projected_value.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using weight = kvsieve::weigh::value_norm;
#else
using weight = kvsieve::weigh::projected_value<>;
#endif
using strategy = kvsieve::key_norm<weight>;

struct launcher {
  static constexpr int threads = 128;
};
using layer = kvsieve::kv_layer<kvsieve::rows<float, 64>>;
using planner = kvsieve::device::planner<strategy, launcher, layer, kvsieve::device::no_queries>;
static_assert(sizeof(planner) > 0);
