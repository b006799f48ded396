// expected-error: kvsieve::select::top_k_in_partitions needs a budget that reads no scores
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using budget = kvsieve::budget::uniform;
#else
using budget = kvsieve::budget::layer_scores;
#endif

kvsieve::token_plan f(kvsieve::token_scores const& scores) {
  return kvsieve::choose_tokens<budget, kvsieve::select::top_k_in_partitions>(kvsieve::host::on{}, scores, {}, {}, {});
}
