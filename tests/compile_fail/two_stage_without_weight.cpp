// expected-error: kvsieve::select::two_stage selects by scores without and with a weight
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::key_norm<kvsieve::weigh::value_norm, kvsieve::select::two_stage>;
#else
using strategy = kvsieve::key_norm<kvsieve::select::two_stage>;
#endif
strategy::params params;
