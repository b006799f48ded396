// expected-error: kvsieve: a group policy that weighs its query heads has to be additive
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

struct weighed : kvsieve::aggregate::group_sum {
#if defined(KVSIEVE_SHOULD_COMPILE)
  static constexpr bool additive = true;
#else
  static constexpr bool additive = false;
#endif
  static constexpr float head_weight(params const&, kvsieve::index, kvsieve::index) { return 1.0f; }
};
using strategy = kvsieve::snap_kv<weighed>;

using view = kvsieve::rows<float const, 64>;
kvsieve::token_plan f(kvsieve::kv_layer<view> const& layer, view const& queries) {
  return kvsieve::plan<strategy>(kvsieve::host::on{}, layer, queries, {}, {});
}
