// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// expected-error: kvsieve::online_policy takes policies of the stages aggregate, group, heads, budget and select
#include <kvsieve/kvsieve.hpp>
#include <kvsieve/online.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using policy = kvsieve::online::h2o<kvsieve::select::top_k>;
#else
using policy = kvsieve::online::h2o<kvsieve::score::key_norm>;
#endif
policy::params params;
