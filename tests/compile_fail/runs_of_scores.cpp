// expected-error: kvsieve::choose_tokens sees scores alone
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using selection = kvsieve::select::top_k;
#else
using selection = kvsieve::select::runs;
#endif
std::size_t bytes(kvsieve::token_scores const& scores) {
  return kvsieve::choose_tokens_workspace_bytes<kvsieve::budget::uniform, selection>(kvsieve::host::on{}, scores, {},
                                                                                     {});
}
