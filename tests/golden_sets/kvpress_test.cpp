// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// NVIDIA kvpress 0.5.5, a quarter of the tokens kept.
#include "golden.hpp"

namespace {
template <class C>
void check(std::string const& name, std::vector<int> const& layers, typename C::params const& params = {}) {
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

TEST_CASE("key_norm is kvpress's") { check<kvsieve::key_norm<>>("knorm", {0, 9, 21}); }
TEST_CASE("key_diff is kvpress's") { check<kvsieve::key_diff<>>("key_diff", {0, 9, 21}); }
TEST_CASE("lag_kv is kvpress's") { check<kvsieve::lag_kv<>>("lag_kv", {0, 9, 21}); }
TEST_CASE("snap_kv is kvpress's") { check<kvsieve::snap_kv<>>("snap_kv", {0, 9, 21}); }
TEST_CASE("tova is kvpress's") { check<kvsieve::tova<>>("tova", {0, 9, 21}); }
TEST_CASE("observed_attention is kvpress's") { check<kvsieve::observed_attention<>>("observed_attention", {9}); }

TEST_CASE("streaming_llm is kvpress's") {
  for (int const layer : {0, 9, 21}) {
    golden::plan_of_layer<kvsieve::streaming_llm<>> const p(layer, {});
    for (int head = 0; head < 3; ++head) {
      CAPTURE(layer, head);
      golden::check_kept(p.plan, head, golden::kept("streaming_llm", layer, head));
    }
  }
}
