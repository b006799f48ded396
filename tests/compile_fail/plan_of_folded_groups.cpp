// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// expected-error: kvsieve::compressor: this aggregate policy folds what attend_observed sees of a whole group
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/online.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::h2o<kvsieve::aggregate::mean>;
#else
using strategy = kvsieve::h2o<kvsieve::aggregate::deviation>;
#endif
strategy::params params;
