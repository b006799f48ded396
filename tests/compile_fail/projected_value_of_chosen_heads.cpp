// expected-error: kvsieve::weigh::projected_value joins query heads by kvsieve::aggregate::group_mean
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/group_chosen.hpp>
#include <kvsieve/weigh/projected_value.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using group = kvsieve::aggregate::group_max;
#else
using group = kvsieve::aggregate::group_chosen;
#endif
using weight = kvsieve::weigh::projected_value<kvsieve::projected::magnitudes, group>;
static_assert(weight::weighs);
