// expected-error: an aggregate policy folds queries, and this score reads none
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::compressor<kvsieve::score::attention<>, kvsieve::aggregate::max>;
#else
using strategy = kvsieve::compressor<kvsieve::score::key_diff, kvsieve::aggregate::max>;
#endif
strategy::params const numbers{};
