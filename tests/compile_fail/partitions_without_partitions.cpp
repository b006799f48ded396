// expected-error: kvsieve::select::top_k_in_partitions needs a score that has partitions
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::compressor<kvsieve::score::lag_relative_streaming, kvsieve::select::top_k_in_partitions>;
#else
using strategy = kvsieve::compressor<kvsieve::score::key_norm, kvsieve::select::top_k_in_partitions>;
#endif
strategy::params const numbers{};
