// expected-error: a group policy joins query heads, and this score reads no queries
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::compressor<kvsieve::score::attention<>, kvsieve::aggregate::group_max>;
#else
using strategy = kvsieve::compressor<kvsieve::score::key_diff, kvsieve::aggregate::group_max>;
#endif
strategy::params const numbers{};
