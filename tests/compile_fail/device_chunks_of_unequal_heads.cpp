// expected-error: kvsieve::plan on the device selects whole rows where heads keep different numbers of tokens
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/device/plan/planner.hpp>
#include <kvsieve/presets.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::duo_attention<kvsieve::select::gumbel>;
#else
using strategy = kvsieve::duo_attention<kvsieve::select::top_k_in_chunks>;
#endif

struct launcher {
  static constexpr int threads = 128;
};
using layer = kvsieve::kv_layer<kvsieve::rows<float, 64>>;
using planner = kvsieve::device::planner<strategy, launcher, layer, kvsieve::device::no_queries>;
static_assert(sizeof(planner) > 0);
