// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Query heads that are weighed, values behind the output projection, and protection by mass on emulated blocks.
#include "agreement.hpp"

#include <kvsieve/aggregate/group_chosen.hpp>
#include <kvsieve/aggregate/group_max_weighed.hpp>
#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/aggregate/worst_case_and_mean.hpp>
#include <kvsieve/lift/mean.hpp>
#include <kvsieve/protect/mass.hpp>
#include <kvsieve/scale/z_score.hpp>
#include <kvsieve/weigh/projected_value.hpp>

using namespace kvsieve_test;

TEST_CASE("device and host make the same plan by query heads that are weighed", "[device][host][plan]") {
  namespace agg = kvs::aggregate;
  std::vector<int> const chosen{3, 0, 1, 2, 0, 3};  // of 4 query heads in 2 layers, of 2 KV heads each
  for (bool const first : {true, false}) {
    using by_sum = kvs::compress_kv<>;
    using by_max = kvs::compressor<kvs::score::attention<kvs::observe::window>, agg::max, agg::group_chosen>;
    std::span<int const> const heads = std::span(chosen).subspan(first ? 0 : 4, first ? 4 : 2);
    int const each = first ? 2 : 1;
    check_cache<by_sum>({.score = {.window = 16}, .group = {.heads = heads, .chosen = each}, .budget = {.keep = 0.4}});
    check_cache<by_max>({.score = {.window = 16}, .group = {.heads = heads, .chosen = each}, .budget = {.keep = 0.4}});
  }
  std::mt19937 random(7);
  std::vector<float> weight(static_cast<std::size_t>(2 * 4 * 150));
  for (float& x : weight) x = static_cast<float>(random() % 100) / 50.0f;
  cache<float, 64> a(2, 150, 21), b(2, 150, 22);
  tensor<float, 64> qa(4, 150, 23), qb(4, 150, 24);
  std::vector const layers{a.layer(), b.layer()};
  std::vector const queries{qa.view(), qb.view()};
  using weighed = kvs::snap_kv<agg::max, agg::group_max_weighed>;
  check_agreement<weighed>(
      layers,
      {.score = {.window = 16}, .group = {.weight = weight, .query_heads = 4, .tokens = 150}, .budget = {.keep = 0.4}},
      2e-5, 1e-3, queries);
}

TEST_CASE("device and host make the same plan by projected values", "[device][host][plan]") {
  namespace weigh = kvs::weigh;
  namespace agg = kvs::aggregate;
  constexpr int hidden = 75, query_heads = 4, layers = 2;
  std::mt19937 random(9);
  std::normal_distribution<float> normal;
  std::vector<float> output(layers * hidden * query_heads * 64);
  for (float& x : output) x = 0.1f * normal(random);
  auto const table = [&](float epsilon) {
    typename weigh::projected_value<>::params p{.output = output, .query_heads = query_heads, .hidden = hidden};
    p.epsilon = epsilon;
    return p;
  };
  auto const check = [&]<class Weigh>(Weigh) {
    using strategy = kvs::snap_kv<Weigh>;
    auto const p = table(0.01f);
    check_cache<strategy>(
        {.score = {.window = 16},
         .weigh = {.output = p.output, .query_heads = p.query_heads, .hidden = p.hidden, .epsilon = p.epsilon},
         .budget = {.keep = 0.4}});
  };
  check(weigh::projected_value<>{});
  check(weigh::projected_value<kvs::projected::length>{});
  if (race_check) return;  // the same bodies
  check(weigh::projected_value<kvs::projected::magnitudes, agg::group_max, true>{});
  check(weigh::projected_value<kvs::projected::length, agg::group_max, true>{});
  check_cache<kvs::critical_kv<>>({.score = {.window = 16}, .weigh = table(1e-4f), .budget = {.keep = 0.4}});
  check_cache<kvs::critical_ada_kv<>>(
      {.score = {.window = 16}, .weigh = table(1e-4f), .budget = {.keep = 0.4}, .select = {.first = 0.3, .sink = 3}});
}

TEST_CASE("device and host protect the same tokens by mass", "[device][host][plan]") {
  namespace agg = kvs::aggregate;
  using strategy = kvs::compressor<kvs::score::attention<kvs::observe::window>, agg::worst_case_and_mean,
                                   agg::group_max, kvs::lift::mean, kvs::protect::mass>;
  for (double const share : {0.0, 0.3, 0.5, 0.9, 1.0})
    for (bool const as_source : {false, true}) {
      check_cache<strategy>({.score = {.window = 16},
                             .protect = {.share = share, .as_source = as_source},
                             .budget = {.keep = share == 0.3 ? 0.8 : 0.4}});
      if (race_check) break;
    }
  using after = kvs::snap_kv<agg::worst_case_and_mean, kvs::scale::z_score, kvs::protect::mass, agg::heads_sum>;
  check_cache<after>({.score = {.window = 12}, .protect = {.share = 0.6}, .budget = {.tokens = 70}}, 2e-5, 1);
}
