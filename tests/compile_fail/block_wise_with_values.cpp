// expected-error: kvsieve::select::block_wise scores the kept tokens anew with every block
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

#ifdef KVSIEVE_SHOULD_COMPILE
using strategy = kvsieve::key_norm<kvsieve::select::block_wise>;
#else
using strategy = kvsieve::value_key_ratio<kvsieve::select::block_wise>;
#endif
strategy::params params;
