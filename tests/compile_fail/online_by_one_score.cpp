// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// expected-error: kvsieve::select::two_stage selects by two scores, and this accumulator gives one
#include <kvsieve/online.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using policy = kvsieve::online_policy<kvsieve::aggregate::deviation, kvsieve::select::two_stage>;
#else
using policy = kvsieve::online_policy<kvsieve::aggregate::sum, kvsieve::select::two_stage>;
#endif
policy::params params;
