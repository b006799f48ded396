// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Budgets that give heads counts of their own, on emulated blocks: the same counts, lists and notes as on the host.
#include "counted_plans.hpp"

#include <kvsieve/budget/bytes.hpp>
#include <kvsieve/budget/head_shares.hpp>
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/budget/over_heads_mixed.hpp>

#include "refusal.hpp"

using namespace kvsieve_test;
namespace budget = kvs::budget;

TEST_CASE("device counts: one ranking over the heads of a layer, as on the host", "[device][budget]") {
  CHECK(support::holds("over_heads", rounds, [] {
    auto const g = support::draw_views(false, 250);
    both_select<budget::over_heads>(
        g, {.keep = *support::fractions(), .tokens = drawn_limit(), .safeguard = *support::fractions()});
  }));
  CHECK(support::holds("over_heads_mixed", rounds, [] {
    auto const g = support::draw_views(false, 250);
    both_select<budget::over_heads_mixed>(g, {.keep = *support::fractions(),
                                              .tokens = drawn_limit(),
                                              .floor = *support::fractions(),
                                              .as_source = *rc::gen::arbitrary<bool>()});
  }));
}

TEST_CASE("device counts: one ranking over all layers and heads, as on the host", "[device][budget]") {
  CHECK(support::holds("over_all", rounds, [] {
    auto const g = support::draw_views(false, 250);
    bool const by_bytes = *rc::gen::resize(100, rc::gen::inRange(0, 4)) == 0;
    both_select<budget::over_all>(
        g, {.keep = *support::fractions(),
            .tokens = drawn_limit(),
            .layers = *rc::gen::arbitrary<bool>() ? 1 : 0,
            .bytes = by_bytes ? *rc::gen::resize(100, rc::gen::inRange<kvs::cs::int64_t>(0, 400000)) : -1,
            .as_source = *rc::gen::arbitrary<bool>()});
  }));
}

TEST_CASE("device counts: layers by how many of the best are theirs, as on the host", "[device][budget]") {
  CHECK(support::holds("layer_scores", rounds, [] {
    auto const g = support::draw_views(false, 250);
    int const layers = *rc::gen::resize(100, rc::gen::element(0, 1, g.s.views() + 3));
    both_select<budget::layer_scores>(g, {.keep = *support::fractions(),
                                          .tokens = drawn_limit(),
                                          .radio_max = 1 + 3 * *support::fractions(),
                                          .layers = layers,
                                          .stage = *rc::gen::resize(100, rc::gen::inRange(1, 4))});
  }));
}

TEST_CASE("device counts: as many as fit into bytes, as on the host", "[device][budget]") {
  CHECK(support::holds("bytes", rounds, [] {
    auto const g = support::draw_views(false, 250);
    bool const by_bytes = *rc::gen::arbitrary<bool>();
    both_select<budget::bytes>(
        g, {.bytes = by_bytes ? *rc::gen::resize(100, rc::gen::inRange<kvs::cs::int64_t>(0, 400000)) : -1,
            .keep = *support::fractions()});
  }));
}

TEST_CASE("device counts: tables of heads, as on the host", "[device][budget]") {
  CHECK(support::holds("tables", rounds, [] {
    auto const g = support::draw_views(false, 250);
    std::vector<double> table;
    for (int i = 0; i < g.s.views() * g.s.kv_heads; ++i) table.push_back(*support::fractions());
    if (*rc::gen::arbitrary<bool>()) return both_select<budget::head_shares>(g, {.keep = table});
    if (*rc::gen::arbitrary<bool>())
      return both_select<budget::retrieval_heads>(
          g, {.score = table, .streaming = *support::fractions(), .sink = 2, .recent = 20});
    for (double& x : table) x += 0.01;
    both_select<budget::head_importance>(
        g, {.keep = *support::fractions(), .tokens = drawn_limit(), .beta = 1.3, .window = 5, .importance = table});
  }));
}

TEST_CASE("device counts: a white list that does not ascend is no danger", "[device][budget]") {
  std::vector<int> const listed{90, -5, 3, 3, 2000000000, 7};
  cache<float, 64> c(3, 100);
  std::vector const layers{c.layer()};
  using strategy = kvs::key_norm<budget::over_heads, kvs::store::ragged>;
  auto const made = emulated_plan<strategy, 64>(
      layers, {.budget = {.tokens = 20}, .select = {.sink = 2, .recent = 2, .white_list = listed}});
  kvs::token_plan const plan = on_host(made.plan);
  CHECK(plan.offset[3] == 60);
  for (int h = 0; h < 3; ++h) {
    auto const list = kept(plan, 0, h);
    CHECK(std::is_sorted(list.begin(), list.end()));
    for (int const t : list) CHECK((t >= 0 && t < 100));
  }
}

TEST_CASE("device counts: launches of a plan do not depend on what is kept", "[device][budget]") {
  cache<float, 64> c(2, 60);
  std::vector const layers{c.layer(), c.layer()};
  int launches = 0;
  emulated_device<32> const on{&launches};
  using strategy = kvs::key_norm<budget::over_all, kvs::store::ragged>;
  using layer = std::remove_const_t<decltype(layers)>::value_type;
  strategy::params const p{.budget = {.keep = 0.5}};
  kvs::device::planner<strategy, emulated_device<32>, layer, kvs::device::no_queries> planner(
      on, {layers.data(), layers.size()}, {}, p);
  workspace_memory memory(planner.bytes());
  REQUIRE(planner.run(memory.get()));
  CHECK(launches == 11);  // map, four passes of two, place, select
}
