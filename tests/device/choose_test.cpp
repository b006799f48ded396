// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The halves of a plan on emulated blocks: one after the other they are the plan, and scores from elsewhere are chosen
// from as on the host.
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/device/plan/scoring.hpp>
#include <kvsieve/host/score_tokens.hpp>
#include <kvsieve/select/threshold.hpp>

#include "counted_plans.hpp"

namespace choose_tests {
using namespace kvsieve_test;
using kvs::index;

namespace {
/// Written scores as score_tokens gives them.
struct written_scores {
  std::vector<float> row;
  std::vector<kvs::scored_view> seen;
  std::vector<index> offset;
  std::vector<double> measured;
  kvs::token_scores scores;

  explicit written_scores(support::scored_views const& g) {
    for (int v = 0; v < g.s.views(); ++v) {
      auto const stride = static_cast<std::size_t>(kvs::score_stride(g.tokens(v)));
      offset.push_back(static_cast<index>(row.size()));
      seen.push_back({g.tokens(v), g.ends, {}});
      for (int h = 0; h < g.s.kv_heads; ++h) {
        row.insert(row.end(), g.row(v, h), g.row(v, h) + g.tokens(v));
        row.resize(offset.back() + static_cast<std::size_t>(h + 1) * stride);
      }
      measured.push_back(1.0 + v % 3);
      measured.push_back(0.25 * (1 + v % 2));
    }
    scores.shape = {g.s.views(), g.s.kv_heads, 64};
    scores.seen = seen.data();
    scores.score = row.data();
    scores.score_offset = offset.data();
    scores.statistics = {measured.data(), 2};
  }
};

/// Chooses by both, twice: scores are as good as before after a choice.
template <class Budget, class Select, int Threads>
void both_choose(support::scored_views const& g, typename Budget::params const& budget,
                 typename Select::params const& select, bool in_partitions = false) {
  written_scores given(g);
  for (std::size_t v = 0; in_partitions && v < given.seen.size(); ++v) {
    int const tokens = given.seen[v].tokens, begin = *rc::gen::inRange(0, tokens + 1),
              length = *rc::gen::inRange(1, 40), fits = (tokens - begin) / length;
    given.seen[v].spans = {begin, length, *rc::gen::inRange(0, fits + 1)};
    given.seen[v].ends = {begin, tokens - begin - given.seen[v].spans.count * length};  // as scorers have it
  }
  kvs::host::on<> const inline_;
  support::workspace host_memory(
      kvs::choose_tokens_workspace_bytes<Budget, Select>(inline_, given.scores, budget, select));
  auto const want = kvs::choose_tokens<Budget, Select>(inline_, given.scores, budget, select, host_memory.span());
  RC_ASSERT(static_cast<bool>(want));
  for (std::uint64_t seed = 1; seed < 3; ++seed) {
    emulated_device<Threads> const on{nullptr, seed};
    kvs::device::choosing<Budget, Select, emulated_device<Threads>> const call(on, given.scores, budget, select);
    workspace_memory memory(call.bytes());
    auto const plan = call.run(memory.get());
    RC_ASSERT(static_cast<bool>(plan));
    kvs::token_plan got = on_host(plan), expected = want;
    if (!g.white_list.empty()) got.note = expected.note = {};  // the device's note leaves a white list out
    same_plan(got, expected);
  }
}

/// Scores and chooses on blocks, and plans there.
template <class C, int Threads, class Layer, class Queries = kvs::device::no_queries>
void halves_are_the_plan(std::vector<Layer> const& layers, typename C::params const& p,
                         std::vector<Queries> const& queries = {}) {
  auto const whole = emulated_plan<C, Threads>(layers, p, queries);
  emulated_device<Threads> const on;
  kvs::device::scoring<C, emulated_device<Threads>, Layer, Queries> const first(on, {layers.data(), layers.size()},
                                                                                {queries.data(), queries.size()}, p);
  workspace_memory memory(first.bytes());
  kvs::token_scores const scores = first.run(memory.get());
  REQUIRE(scores);
  using budget = typename C::budget_policy;
  using selection = typename C::select_policy;
  kvs::device::choosing<budget, selection, emulated_device<Threads>> const second(on, scores, p.budget, p.select);
  workspace_memory more(second.bytes());
  auto const plan = second.run(more.get());
  REQUIRE(plan);
  CHECK(support::holds("the same plan", 1, [&] { same_plan(on_host(plan), on_host(whole.plan)); }));
}
}  // namespace

TEST_CASE("choose on the device: scores from elsewhere, as on the host", "[device]") {
  namespace budget = kvs::budget;
  using kvs::select::top_k;
  CHECK(support::holds("device choose", rounds, [] {
    auto const g = support::draw_views(false, 250);
    double const keep = *support::fractions();
    switch (*rc::gen::resize(100, rc::gen::inRange(0, 5))) {
      case 0:
        return both_choose<budget::uniform, top_k, 32>(g, {.keep = keep}, selected(g));
      case 1:
        return both_choose<budget::over_all, top_k, 64>(g, {.keep = keep}, selected(g));
      case 2:
        return both_choose<budget::over_all, kvs::select::heavy_hitters, 64>(g, {.keep = keep}, halves(g));
      case 3:
        return both_choose<budget::entropy_variance, top_k, 64>(g, {.keep = keep}, selected(g));
      default:
        return both_choose<budget::uniform, kvs::select::threshold, 128>(
            g, {.keep = keep}, {.threshold = 0.5f, .sink = g.sink, .recent = g.recent});
    }
  }));
}

TEST_CASE("choose on the device: in the partitions of the scores, as on the host", "[device]") {
  CHECK(support::holds("device choose in partitions", 30, [] {
    auto g = support::draw_views(false, 250);
    g.ends = {};
    both_choose<kvs::budget::uniform, kvs::select::top_k_in_partitions, 64>(g, {.keep = *support::fractions()}, {},
                                                                            true);
  }));
  support::scored_views g;
  g.s.kv_heads = 1;
  g.s.tokens = {20};
  g.longest = 20;
  g.table.assign(20, 1.0f);
  written_scores given(g);
  given.seen[0].spans = {5, 4, 4};
  int launches = 0;
  emulated_device<64> const on{&launches};
  kvs::device::choosing<kvs::budget::uniform, kvs::select::top_k_in_partitions, emulated_device<64>> const call(
      on, given.scores, {.keep = 0.5}, {});
  char line[200];
  CHECK(std::string(call.run({}).state.message(line)) == "view 0: end of seen.spans is 21, must be at most 20");
  kvs::host::on<> const inline_;
  CHECK(!kvs::choose_tokens<kvs::budget::uniform, kvs::select::top_k_in_partitions>(inline_, given.scores,
                                                                                    {.keep = 0.5}, {}, {}));
  CHECK(launches == 0);
}

TEST_CASE("score on the device: then choose is plan", "[device]") {
  cache<float, 64> a(2, 150, 21), b(2, 150, 22);
  std::vector const layers{a.layer(), b.layer()};
  halves_are_the_plan<kvs::key_diff<kvs::budget::over_all, kvs::store::ragged>, 64>(layers, {.budget = {.keep = 0.3}});
  if (race_check) return;
  tensor<float, 64> qa(4, 8, 23), qb(4, 8, 24);
  std::vector const queries{qa.view(), qb.view()};
  halves_are_the_plan<kvs::snap_kv<>, 32>(layers, {.score = {.window = 8}, .budget = {.keep = 0.3}}, queries);
  halves_are_the_plan<kvs::cake<>, 64>(layers, {.score = {.window = 8}, .budget = {.keep = 0.3}}, queries);
}

TEST_CASE("choose on the device: what it refuses, and then nothing is launched", "[device]") {
  support::scored_views g;
  g.s.kv_heads = 2;
  g.s.tokens = {20, 30};
  g.longest = 30;
  g.table.assign(120, 1.0f);
  written_scores given(g);
  int launches = 0;
  emulated_device<64> const on{&launches};
  using budget = kvs::budget::entropy_variance;
  auto const state = [&](kvs::token_scores const& scores, double keep) {
    kvs::device::choosing<budget, kvs::select::top_k, emulated_device<64>> const call(on, scores, {.keep = keep}, {});
    CHECK(call.bytes().device == 0);
    return call.run({}).state;
  };
  CHECK(state(given.scores, -1).code == kvs::errc::bad_params);
  kvs::token_scores bad = given.scores;
  bad.score = nullptr;
  CHECK(state(bad, 0.5).code == kvs::errc::bad_pointer);
  bad = given.scores;
  bad.statistics.each = 1;
  CHECK(state(bad, 0.5).argument == std::string_view("scores.statistics"));
  bad = given.scores;
  bad.state = kvs::fail(kvs::errc::bad_shape, "layers", 0, "must be at least", 1);
  CHECK(state(bad, 0.5).argument == std::string_view("layers"));
  CHECK(launches == 0);
}
}  // namespace choose_tests
