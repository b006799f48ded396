// expected-error: kvsieve::plan on the device takes budgets that read no scores, or rank them
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/budget/uncertainty.hpp>
#include <kvsieve/device/planner.hpp>
#include <kvsieve/presets.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::key_norm<kvsieve::budget::over_all, kvsieve::store::ragged>;
#else
using strategy = kvsieve::key_norm<kvsieve::budget::uncertainty>;
#endif

struct launcher {
  static constexpr int threads = 128;
};
using layer = kvsieve::kv_layer<kvsieve::rows<float, 64>>;
using planner = kvsieve::device::planner<strategy, launcher, layer, kvsieve::device::no_queries>;
static_assert(sizeof(planner) > 0);
