// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// expected-error: this budget reads numbers of whole layers
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::snap_kv<kvsieve::aggregate::mean_variance_entropy, kvsieve::budget::entropy_variance>;
#else
using strategy = kvsieve::snap_kv<kvsieve::budget::entropy_variance>;
#endif
strategy::params params;
