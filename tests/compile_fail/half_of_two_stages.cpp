// expected-error: kvsieve::score::blend and product: a half that selects by kvsieve::select::two_stage
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/score/blend.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using first = kvsieve::snap_kv<kvsieve::weigh::value_norm>;
#else
using first = kvsieve::critical_kv<>;
#endif
using strategy = kvsieve::compressor<kvsieve::score::blend<first, kvsieve::key_norm<>>>;
strategy::params params;
