// expected-error: kvsieve: a group policy that weighs the tokens of its query heads is not additive
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/kvsieve.hpp>

struct weighed : kvsieve::aggregate::group_sum {
#if defined(KVSIEVE_SHOULD_COMPILE)
  static constexpr bool additive = false;
#else
  static constexpr bool additive = true;
#endif
  static constexpr float const* token_weights(params const&, kvsieve::index, kvsieve::index) { return nullptr; }
};
using strategy = kvsieve::snap_kv<weighed>;

using view = kvsieve::rows<float const, 64>;
kvsieve::token_plan f(kvsieve::kv_layer<view> const& layer, view const& queries) {
  return kvsieve::plan<strategy>(kvsieve::host::on{}, layer, queries, {}, {});
}
