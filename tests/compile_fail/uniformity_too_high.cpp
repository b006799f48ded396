// expected-error: kvsieve: this strategy keeps counts that differ more than the engine can hold
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

// An engine that holds one list for all heads; key norm keeps other tokens in each head.
#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::streaming_llm<>;
#else
using strategy = kvsieve::key_norm<>;
#endif
void check() { kvsieve::require_uniformity<strategy, kvsieve::uniformity::U0>(); }
