// expected-error: kvsieve::row_form::logits goes with an aggregate policy that is linear, or kvsieve::aggregate::max
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/kvsieve.hpp>

#if defined(KVSIEVE_SHOULD_COMPILE)
using folded = kvsieve::aggregate::max;
#else
using folded = kvsieve::aggregate::root_mean_square;
#endif
using strategy =
    kvsieve::compressor<kvsieve::score::attention<kvsieve::observe::window, kvsieve::row_form::logits>, folded>;

using view = kvsieve::rows<float const, 64>;
kvsieve::token_plan f(kvsieve::kv_layer<view> const& layer, view const& queries) {
  return kvsieve::plan<strategy>(kvsieve::host::on{}, layer, queries, {}, {});
}
