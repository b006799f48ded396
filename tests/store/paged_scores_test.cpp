// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans over pages against plans over the same rows in dense memory: every way that scores walk a cache.
#include "paged_cases.hpp"

namespace paged_tests {
namespace {
// The same scores, bit for bit, and the same lists.
template <class C, class T, int P, int D>
void same_plan(std::uint32_t seed, typename C::params const& params = {}) {
  std::mt19937 random(seed);
  std::vector<int> tokens = random_tokens(random, P);
  for (int& n : tokens) n += 64;  // for the strategies that observe a window
  twice<T, P, D> s(1 + static_cast<int>(random() % 3), 1 + static_cast<int>(random() % 3), tokens,
                   support::page_orders[seed % 5], seed,
                   seed % 3 == 0 ? support::content::non_finite : support::content::normal);
  auto const a = plan_of<C>(s.dense_views(), s.queries(), params);
  auto const b = plan_of<C>(s.paged_views(), s.queries(), params);
  REQUIRE(a.plan);
  REQUIRE(b.plan);
  for (int v = 0; v < a.plan.views; ++v)
    for (int h = 0; h < s.heads; ++h) {
      auto const x = a.plan.scores(v, h), y = b.plan.scores(v, h);
      REQUIRE(std::memcmp(x.data(), y.data(), x.size() * sizeof(float)) == 0);
      auto const k = a.plan.kept(v, h), l = b.plan.kept(v, h);
      REQUIRE(std::vector<int>(k.begin(), k.end()) == std::vector<int>(l.begin(), l.end()));
    }
}
template <class C>
void same_plans(typename C::params const& params = {}) {
  for (std::uint32_t seed = 0; seed < 5; ++seed) {
    same_plan<C, float, 64, 64>(seed, params);
    same_plan<C, kvsieve::bf16, 16, 64>(seed, params);
  }
}

}  // namespace

TEST_CASE("paged: scores of rows and of chunks are those of dense rows") {
  same_plans<kvsieve::key_norm<>>();
  same_plans<kvsieve::key_diff<>>();
  same_plans<kvsieve::value_key_ratio<>>();
  same_plans<kvsieve::lag_kv<>>({.score = {.sink = 2, .lag = 20}});
}
TEST_CASE("paged: scores by queries are those of dense rows") {
  same_plans<kvsieve::snap_kv<>>({.score = {.window = 16}});
  same_plans<kvsieve::expected_attention<>>();
}
TEST_CASE("paged: scores of pairs and of whole heads are those of dense rows") {
  same_plans<kvsieve::redundancy<>>();
  same_plans<kvsieve::leverage<>>();
  same_plans<kvsieve::cur<>>();
  same_plans<kvsieve::key_diff_block_wise<>>();
}
TEST_CASE("paged: scores by sums over all queries, chunks of their own and prompts are those of dense rows") {
  same_plans<kvsieve::h2o<>>();
  same_plans<kvsieve::non_causal_attention<>>({.score = {.chunk = 100}});
  same_plans<kvsieve::cap_kv<>>();
  same_plans<kvsieve::r_kv<>>();
}
}  // namespace paged_tests
