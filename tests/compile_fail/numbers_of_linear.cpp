// expected-error: kvsieve: an accumulator that measures views has a state of its own
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

struct measured : kvsieve::aggregate::sum {
#if !defined(KVSIEVE_SHOULD_COMPILE)
  static constexpr int statistics = 1;
#endif
};
using strategy = kvsieve::snap_kv<measured>;

using view = kvsieve::rows<float const, 64>;
kvsieve::token_plan f(kvsieve::kv_layer<view> const& layer, view const& queries) {
  return kvsieve::plan<strategy>(kvsieve::host::on{}, layer, queries, {}, {});
}
