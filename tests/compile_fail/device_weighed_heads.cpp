// expected-error: kvsieve::plan on the device does not weigh query heads
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/device/planner.hpp>
#include <kvsieve/presets.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using group = kvsieve::aggregate::group_max;
#else
using group = kvsieve::aggregate::group_chosen;
#endif
using strategy = kvsieve::snap_kv<group>;

struct launcher {
  static constexpr int threads = 128;
};
using layer = kvsieve::kv_layer<kvsieve::rows<float, 64>>;
using planner = kvsieve::device::planner<strategy, launcher, layer, kvsieve::rows<float, 64>>;
static_assert(sizeof(planner) > 0);
