// expected-error: kvsieve::compressor needs a scoring policy: add one of kvsieve::score::*
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using strategy = kvsieve::compressor<kvsieve::score::key_norm, kvsieve::budget::uniform>;
#else
using strategy = kvsieve::compressor<kvsieve::budget::uniform>;
#endif
strategy::params const numbers{};
