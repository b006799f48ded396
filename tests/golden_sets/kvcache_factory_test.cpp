// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KVCache-Factory's H2O and SnapKV, composed from policies.
#include "golden.hpp"

namespace {
using namespace kvsieve;

template <class C>
void agrees(std::string const& name, std::vector<int> const& layers, typename C::params const& params) {
  for (int const layer : layers) {
    golden::plan_of_layer<C> const p(layer, params);
    for (int head = 0; head < 3; ++head) {
      CAPTURE(name, layer, head);
      auto const want = golden::scores(name + "." + std::to_string(layer) + ".score", head);
      golden::check_scores(p.plan, head, want);
      golden::check_kept(p.plan, head, golden::kept(name, layer, head), want);
    }
  }
}
}  // namespace

TEST_CASE("summed attention of all queries with a window is KVCache-Factory's H2O") {
  using strategy = compressor<score::attention<observe::all>, aggregate::sum, aggregate::group_mean>;
  agrees<strategy>("kvcf_h2o", {9}, {.budget = {.tokens = 200}, .select = {.recent = 32}});
}

TEST_CASE("a max-pooled window is KVCache-Factory's SnapKV") {
  using strategy = snap_kv<aggregate::sum, aggregate::group_mean, smooth::max>;
  agrees<strategy>("kvcf_snapkv_maxpool", {0, 9, 21},
                   {.score = {.window = 8}, .smooth = {.kernel = 7}, .budget = {.tokens = 200}});
}

TEST_CASE("an average-pooled window with group sums is KVCache-Factory's SnapKV") {
  using strategy = snap_kv<aggregate::sum, aggregate::group_sum>;
  agrees<strategy>("kvcf_snapkv_avgpool", {0, 9, 21},
                   {.score = {.window = 16}, .smooth = {.kernel = 5}, .budget = {.tokens = 160}});
}
