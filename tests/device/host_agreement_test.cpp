// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The device's launches on emulated blocks against the host's plan of the same cache: scores agree up to rounding, the
// kept sets but for tokens whose scores are that close; and on identical scores the kept sets are equal.
#include "agreement.hpp"

#include <kvsieve/aggregate/worst_case_and_mean.hpp>
#include <kvsieve/scale/z_score.hpp>
#include <kvsieve/score/blend.hpp>
#include <kvsieve/score/product.hpp>

using namespace kvsieve_test;

TEST_CASE("device and host make the same plan of a cache", "[device][host][plan]") {
  std::vector<int> const listed{5, 6, 40};
  check_cache<kvs::key_norm<>>({.budget = {.keep = 0.3}, .select = {.sink = 4, .recent = 8, .white_list = listed}});
  check_cache<kvs::key_diff<>>({.budget = {.keep = 0.5}, .select = {.sink = 4}});
  check_cache<kvs::key_diff<kvs::smooth::max>>({.budget = {.keep = 0.5}});
  check_cache<kvs::key_norm<>>({.budget = {.tokens = 9}, .select = {.sink = 4, .recent = 8}});
  check_cache<kvs::key_norm<>>({.budget = {.tokens = 0}, .select = {.sink = 4, .recent = 8}});
  check_cache<kvs::streaming_llm<>>({.budget = {.keep = 0.2}});
  check_cache<kvs::random<>>({.score = {.seed = 11}, .budget = {.keep = 0.7}});
  check_cache<kvs::snap_kv<>>({.score = {.window = 16}, .budget = {.keep = 0.4}, .select = {.sink = 2}});
  check_cache<kvs::tova<>>({.budget = {.keep = 0.25}});
  check_cache<kvs::nacl<kvs::select::top_k>>({.score = {.queries = 9}, .budget = {.keep = 0.3}});
  check_cache<kvs::lookahead_q<kvs::smooth::none>>({.score = {.queries = 5, .window = 4}, .budget = {.keep = 0.3}});
  check_cache<kvs::finch<>>({.score = {.window = 16}, .budget = {.keep = 0.3}});
  check_cache<kvs::paged_eviction<>>({.budget = {.keep = 0.4}});
  check_cache<kvs::chunk_kv<>>({.score = {.window = 16}, .budget = {.keep = 0.4}});
  check_cache<kvs::window_kv<>>({.score = {.window = 6}, .budget = {.keep = 0.4, .group = 2}, .select = {.recent = 7}});
  check_cache<kvs::fair_eviction<>>({.score = {.window = 16}, .budget = {.keep = 0.4}});
  check_cache<kvs::nacl<>>({.score = {.queries = 9}, .budget = {.keep = 0.3}, .select = {.seed = 3}});
  check_cache<kvs::critical_kv_by_norm<>>({.score = {.window = 16}, .budget = {.keep = 0.4}});
  if constexpr (!race_check) {
    check_cache<kvs::observed_attention<>>({.budget = {.keep = 0.25}});
    check_cache<kvs::h2o<kvs::aggregate::group_max>>({.budget = {.keep = 0.25}});
  }
}

TEST_CASE("device and host make the same plan by the worst case", "[device][host][plan]") {
  namespace agg = kvs::aggregate;
  using by_group = kvs::compressor<kvs::score::attention<kvs::observe::window>, agg::worst_case, agg::group_max>;
  using of_all = kvs::compressor<kvs::score::attention<kvs::observe::history>, agg::worst_case_and_mean>;
  for (int const kernel : {1, 5, 31}) {
    check_cache<by_group>(
        {.score = {.window = 16}, .aggregate = {.kernel = kernel}, .budget = {.keep = 0.4}, .select = {.sink = 2}});
    check_cache<of_all>({.score = {.window = 37}, .aggregate = {.kernel = kernel}, .budget = {.keep = 0.3}});
  }
}

TEST_CASE("device and host make the same plan by joined scores", "[device][host][plan]") {
  namespace score = kvs::score;
  using by_attention = kvs::snap_kv<kvs::scale::z_score>;
  using blended = kvs::compressor<score::blend<by_attention, kvs::key_diff<kvs::scale::z_score>>>;
  check_cache<blended>({.score = {.first = {.score = {.window = 16}}, .weight = 0.5f}, .budget = {.keep = 0.4}}, 2e-5,
                       1);
  using multiplied = kvs::compressor<score::product<kvs::key_norm<kvs::smooth::max>, kvs::value_key_ratio<>>,
                                     kvs::smooth::average, kvs::aggregate::heads_sum>;
  check_cache<multiplied>({.budget = {.keep = 0.4}, .select = {.sink = 3}});
  using nested = kvs::compressor<score::blend<blended, kvs::streaming_llm<>>, kvs::select::pages>;
  check_cache<nested>(
      {.score = {.first = {.score = {.first = {.score = {.window = 9}}}}, .weight = 1e-3f}, .budget = {.keep = 0.4}},
      2e-5, 1);
}

TEST_CASE("device and host make the same plan by LagKV", "[device][host][plan]") {
  cache<float, 64> c(2, 150, 31), brief(2, 20, 32);
  std::vector const layers{c.layer(), brief.layer()};
  check_agreement<kvs::lag_kv_streaming<>>(layers, {.score = {.sink = 4, .lag = 16}, .budget = {.keep = 0.3}}, 2e-5,
                                           1e-3);
  // Ranks of two shares that are equal up to rounding may be exchanged.
  check_agreement<kvs::lag_kv<>>(layers, {.score = {.sink = 4, .lag = 16}, .budget = {.keep = 0.5}}, 1.01 / 16, 1e-3);
}

TEST_CASE("device and host select the same tokens by the same scores", "[device][host][select]") {
  std::mt19937 random(5);
  for (int const n : {1, 17, 64, 65, 300, race_check ? 500 : 3001}) {
    std::vector<float> score(static_cast<std::size_t>(n));
    for (float& x : score) x = static_cast<float>(random() % 50) / 7.0f;
    if (n > 10) {
      score[3] = not_a_number;
      score[7] = -infinite;
      score[8] = infinite;
    }
    for (int const keep : {0, 1, n / 3, n - 1, n}) {
      CAPTURE(n, keep);
      std::vector<unsigned> key(static_cast<std::size_t>(n) + 64), candidate(key);
      std::vector<int> expected(static_cast<std::size_t>(keep)), got(static_cast<std::size_t>(keep) + 1);
      kvs::forced_set const forced{n, 2 < n ? 2 : n, 5 < n ? 5 : n, nullptr, 0};
      kvs::host::top_k(score.data(), n, keep, forced.cut(keep), 0, expected.data(), {key.data(), candidate.data()});
      kvs::device::select_args args{};
      std::vector<float> copy(score);
      args.views.part[0] = {copy.data(), got.data(), n, keep, n, keep, forced.sink, forced.recent, {0, n, 1}};
      REQUIRE(emulated_device<64>{}.launch<kvs::device::select_body>({1, 1, 1}, args));
      got.pop_back();
      CHECK(got == expected);
    }
  }
}
