// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Budgets that give heads counts of their own, on emulated blocks: the same counts, lists and notes as on the host.
#include "emulated_plan.hpp"

#include <kvsieve/budget/bytes.hpp>
#include <kvsieve/budget/head_shares.hpp>
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/budget/over_heads_mixed.hpp>
#include <kvsieve/host/run.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

using namespace kvsieve_test;
namespace budget = kvs::budget;

namespace {
/// Everything that two plans of the same scores say.
void same_plan(kvs::token_plan const& got, kvs::token_plan const& want) {
  RC_ASSERT(got.views == want.views);
  RC_ASSERT(got.heads == want.heads);
  RC_ASSERT(got.uniformity_class == want.uniformity_class);
  RC_ASSERT(static_cast<bool>(got.note) == static_cast<bool>(want.note));
  RC_ASSERT(got.note.got == want.note.got);
  RC_ASSERT(got.note.expected == want.note.expected);
  RC_ASSERT(got.note.layer == want.note.layer);
  for (int v = 0; v < want.views; ++v) {
    RC_ASSERT(got.tokens(v) == want.tokens(v));
    for (int h = 0; h < want.heads; ++h) {
      RC_ASSERT(got.count(v, h) == want.count(v, h));
      RC_ASSERT(kept(got, v, h) == kept(want, v, h));
      auto const a = got.scores(v, h), b = want.scores(v, h);
      for (std::size_t t = 0; t < a.size(); ++t) RC_ASSERT(a[t] == b[t] || (std::isnan(a[t]) && std::isnan(b[t])));
    }
  }
}

/// Plans written scores by both.
template <class C, int Threads>
void both_plan(support::scored_views const& g, typename C::params p) {
  p.score = {.table = g.table.data(), .stride = g.longest, .ends = g.ends};
  auto const layers = support::make_layers<float, 64, false>(g.s, [](int) { return 1; });
  std::vector<decltype(layers[0].const_view())> views;
  for (auto const& l : layers) views.push_back(l.const_view());
  auto const want = support::make_plan<C>(0, layers, p);
  RC_ASSERT(static_cast<bool>(want.plan));
  auto const made = emulated_plan<C, Threads>(views, p);
  kvs::token_plan const got = on_host(made.plan);
  if (p.select.white_list.empty()) {
    same_plan(got, want.plan);
  } else {  // the device's note leaves it out
    kvs::token_plan quiet = want.plan, noted = got;
    quiet.note = noted.note = {};
    same_plan(noted, quiet);
  }
  if constexpr (std::is_same_v<kvs::device::plan_of<C>, kvs::device::open_plan>) {
    RC_ASSERT(got.offset[got.views * got.heads] <= made.plan.rows);
    for (int v = 0; v < got.views; ++v) RC_ASSERT(got.count(v) <= made.plan.most(v));
  } else {
    for (int i = 0; i <= got.views * got.heads; ++i) RC_ASSERT(got.device_offset[i] == got.offset[i]);
  }
}
/// Selection's numbers as the views have them.
kvs::select::top_k::params selected(support::scored_views const& g) {
  return {.sink = g.sink, .recent = g.recent, .white_list = {g.white_list.data(), g.white_list.size()}};
}
kvs::select::heavy_hitters::params halves(support::scored_views const& g) {
  return {.sink = g.sink, .recent_share = 0.4, .white_list = {g.white_list.data(), g.white_list.size()}};
}
template <class Budget>
using hitters = kvs::compressor<support::scripted, Budget, kvs::store::ragged, kvs::select::heavy_hitters>;

template <class Budget>
void both_select(support::scored_views const& g, typename Budget::params const& b) {
  switch (*rc::gen::resize(100, rc::gen::inRange(0, 4))) {
    case 0:
      return both_plan<support::budgeted<Budget>, 32>(g, {.budget = b, .select = selected(g)});
    case 1:
      return both_plan<support::budgeted<Budget>, 128>(g, {.budget = b, .select = selected(g)});
    case 2:
      return both_plan<hitters<Budget>, 64>(g, {.budget = b, .select = halves(g)});
    default:
      return both_plan<support::budgeted<Budget>, 64>(g, {.budget = b, .select = selected(g)});
  }
}
int drawn_limit() { return *rc::gen::resize(100, rc::gen::oneOf(rc::gen::just(-1), rc::gen::inRange(0, 300))); }
constexpr int rounds = race_check ? 3 : 80;
}  // namespace

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
