// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// expected-error: kvsieve::plan on the device folds one row of a head
#include <kvsieve/device/planner.hpp>
#include <kvsieve/presets.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::snap_kv<>;
#else
using strategy = kvsieve::snap_kv<kvsieve::aggregate::worst_case_and_mean, kvsieve::protect::mass>;
#endif

struct launcher {
  static constexpr int threads = 128;
};
using layer = kvsieve::kv_layer<kvsieve::rows<float, 64>>;
using planner = kvsieve::device::planner<strategy, launcher, layer, kvsieve::rows<float const, 64>>;
static_assert(sizeof(planner) > 0);
