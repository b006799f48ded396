// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// expected-error: kvsieve::protect::mass reads the mean attention beside the scores
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::snap_kv<kvsieve::aggregate::worst_case_and_mean, kvsieve::protect::mass>;
#else
using strategy = kvsieve::snap_kv<kvsieve::protect::mass>;
#endif
strategy::params params;
