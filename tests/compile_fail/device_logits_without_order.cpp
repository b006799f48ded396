// expected-error: kvsieve::row_form::logits goes with an aggregate policy that is linear, or kvsieve::aggregate::max
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/device/plan/planner.hpp>
#include <kvsieve/score/attention.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using folded = kvsieve::aggregate::max;
#else
using folded = kvsieve::aggregate::root_mean_square;
#endif
using view = kvsieve::rows<float, 64>;
using body =
    kvsieve::device::fold_queries_body<folded, kvsieve::aggregate::group_mean, kvsieve::row_form::logits, view, view>;
static_assert(sizeof(body) > 0);
