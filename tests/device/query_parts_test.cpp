// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Observed queries that come in several calls, on emulated blocks: against the host, and against a single call.
#include <kvsieve/aggregate/last_above.hpp>
#include <kvsieve/device/plan/scoring.hpp>
#include <kvsieve/host/score_tokens.hpp>
#include <kvsieve/select/two_stage.hpp>

#include "emulated_plan.hpp"

namespace query_parts_tests {
using namespace kvsieve_test;
namespace agg = kvs::aggregate;
using kvs::query_set;

namespace {
/// Two views of two KV heads of two query heads, with as many queries of each.
struct asked_views {
  cache<float, 64> a, b;
  tensor<float, 64> qa, qb;
  int queries;
  asked_views(int tokens, int others, int count)
      : a(2, tokens, 31), b(2, others, 32), qa(4, count, 33), qb(4, count, 34), queries(count) {}
  auto layers() { return std::vector{a.layer(), b.layer()}; }
  static auto part(tensor<float, 64>& q, int first, int count) {
    return kvs::make_rows<64>(&q.at(0, first, 0), q.heads, count, kvs::index{q.tokens} * 64, kvs::index{64});
  }
  auto part(int first, int count) { return std::vector{part(qa, first, count), part(qb, first, count)}; }
};
using layer_type = decltype(std::declval<cache<float, 64>&>().layer());
using query_type = decltype(std::declval<tensor<float, 64>&>().view());

/// What a call gave: scores of all views, what was measured, and the scores with the weight.
struct given_scores {
  std::vector<float> score, weighed;
  std::vector<double> measured;
};
given_scores copied(kvs::token_scores const& s) {
  given_scores g;
  for (int v = 0; v < s.shape.views; ++v)
    for (int h = 0; h < s.shape.heads; ++h) {
      auto const& seen = s.seen[v];
      auto const row = s.scores(v, h);
      for (int t = 0; t < seen.tokens - seen.ends.tail; ++t) {
        g.score.push_back(row[static_cast<std::size_t>(t)]);
        if (s.weighed != nullptr) g.weighed.push_back(s.weighed[&row[static_cast<std::size_t>(t)] - s.score]);
      }
    }
  for (int v = 0; v < s.shape.views; ++v)
    for (int i = 0; i < s.statistics.each; ++i) g.measured.push_back(s.statistics.of(v, i));
  return g;
}
template <class C, int Threads, class Scoring>
given_scores on_blocks(Scoring const& scoring) {
  workspace_memory memory(scoring.bytes());
  kvs::token_scores const s = scoring.run(memory.get());
  REQUIRE(s);
  return copied(s);
}
template <class C>
given_scores by_host(asked_views& l, typename C::params const& p) {
  kvs::host::on const on;
  auto const layers = l.layers();
  auto const queries = l.part(0, l.queries);
  kvs::cs::span<layer_type const> const views(layers.data(), layers.size());
  kvs::cs::span<query_type const> const asked(queries.data(), queries.size());
  std::vector<workspace_line> memory(kvs::score_tokens_workspace_bytes<C>(on, views, asked, p) / 64 + 1);
  auto const s =
      kvs::score_tokens<C>(on, views, asked, p, {reinterpret_cast<std::byte*>(memory.data()), memory.size() * 64});
  REQUIRE(s);
  return copied(s);
}
template <class C, int Threads>
given_scores in_parts(asked_views& l, typename C::params const& p, std::vector<int> const& ends) {
  emulated_device<Threads> const on;
  auto const layers = l.layers();
  std::vector<float> state;
  given_scores got;
  int first = 0;
  for (int const end : ends) {
    auto const queries = l.part(first, end - first);
    kvs::device::scoring<C, emulated_device<Threads>, layer_type, query_type> const call(
        on, {layers.data(), layers.size()}, {queries.data(), queries.size()}, p);
    if (first == 0) state.assign(call.state_floats() + 1, 99.0f);
    CHECK(call.state_floats() + 1 == state.size());
    workspace_memory memory(call.bytes());
    auto const s = call.run_part({{state.data(), state.size() - 1}, first}, memory.get());
    REQUIRE(s);
    CHECK((s.score != nullptr) == (end == ends.back()));
    if (s.score != nullptr) got = copied(s);
    first = end;
  }
  CHECK(state.back() == 99.0f);
  return got;
}
bool alike(std::vector<float> const& a, std::vector<float> const& b, float bound) {
  bool same = a.size() == b.size() && !a.empty();
  for (std::size_t i = 0; same && i < a.size(); ++i)
    same = a[i] == b[i] || std::abs(a[i] - b[i]) <= bound * std::abs(b[i]);
  return same;
}

template <class C, int Threads>
void check(asked_views& l, typename C::params const& p, std::vector<int> const& ends, float bound,
           float of_host = 2e-5f) {
  CAPTURE(ends);
  emulated_device<Threads> const on;
  auto const layers = l.layers();
  auto const queries = l.part(0, l.queries);
  auto const once = on_blocks<C, Threads>(kvs::device::scoring<C, emulated_device<Threads>, layer_type, query_type>(
      on, {layers.data(), layers.size()}, {queries.data(), queries.size()}, p));
  auto const host = by_host<C>(l, p);
  auto const got = in_parts<C, Threads>(l, p, ends);
  CHECK(alike(got.score, once.score, bound));
  CHECK(alike(got.score, host.score, of_host));
  if (!once.weighed.empty()) CHECK(alike(got.weighed, once.weighed, bound));
  REQUIRE(got.measured.size() == once.measured.size());
  for (std::size_t i = 0; i < got.measured.size(); ++i)
    CHECK(got.measured[i] == Catch::Approx(once.measured[i]).epsilon(static_cast<double>(bound)));
}
}  // namespace

TEST_CASE("on the device queries split over calls change nothing", "[device][score]") {
  asked_views l(90, 75, 41);
  auto const window = [&]<class A, class G, int Threads>(std::vector<int> const& ends, float bound) {
    using strategy = kvs::compressor<kvs::score::attention<kvs::observe::window>, A, G>;
    check<strategy, Threads>(l, {.score = {.window = 41}}, ends, bound);
  };
  window.operator()<agg::mean, agg::group_mean, 64>({1, 20, 41}, 1e-5f);
  window.operator()<agg::max, agg::group_max, 32>({16, 40, 41}, 0);
  if (race_check) return;
  window.operator()<agg::mean, agg::group_mean, 64>({41}, 0);
  window.operator()<agg::mean_visible, agg::group_max, 64>({16, 41}, 1e-5f);
  window.operator()<agg::max, agg::group_max, 64>({3, 22, 41}, 0);
  // Where the order of queries counts, calls of whole lines of four give the bits of one.
  using recurring = kvs::compressor<kvs::score::attention<kvs::observe::window>, agg::last_above, agg::group_max>;
  check<recurring, 64>(l, {.score = {.window = 41}}, {4, 20, 41}, 0);
  using worst = kvs::compressor<kvs::score::attention<kvs::observe::window>, agg::worst_case, agg::group_max>;
  check<worst, 64>(l, {.score = {.window = 41}}, {16, 30, 41}, 1e-6f);
}

TEST_CASE("on the device sets are counted over all calls", "[device][score]") {
  asked_views l(102, 102, 35);
  std::vector<query_set> const chunks{{12, 1, 70, 4, 4, 30}, {20, 3, 82, 4, 30, 70}, {3, 1, -1, 0, 2, 40}};
  using linear = kvs::compressor<kvs::score::attention<kvs::observe::sets>, agg::mean, agg::group_mean>;
  using largest =
      kvs::compressor<kvs::score::attention<kvs::observe::sets, kvs::row_form::logits>, agg::max, agg::group_max>;
  std::vector<query_set> plain = chunks;
  for (auto& s : plain) s.weight = 1;
  check<linear, 64>(l, {.score = {.sets = {chunks.data(), chunks.size()}, .own = 32}}, {10, 13, 33, 35}, 1e-5f);
  check<largest, 32>(l, {.score = {.sets = {plain.data(), plain.size()}, .own = 32}}, {10, 13, 33, 35}, 0);
}

TEST_CASE("on the device calls with parts of the queries give what comes beside the scores", "[device][score]") {
  asked_views l(90, 75, 24);
  using two = kvs::cake<kvs::weigh::value_norm, kvs::select::two_stage>;
  check<two, 64>(l, {.score = {.window = 24}}, {8, 16, 24}, 1e-5f);
  using mass = kvs::compressor<kvs::score::attention<kvs::observe::window>, agg::worst_case_and_mean, agg::group_max,
                               kvs::protect::mass>;
  check<mass, 64>(l, {.score = {.window = 24}}, {8, 16, 24}, 1e-5f);
}

TEST_CASE("on the device a part of the queries that does not fit launches nothing", "[device][score]") {
  asked_views l(40, 40, 8);
  using strategy = kvs::compressor<kvs::score::attention<kvs::observe::window>>;
  strategy::params const p{.score = {.window = 16}};
  int launches = 0;
  emulated_device<32> const on{&launches};
  auto const layers = l.layers();
  auto queries = l.part(0, 8);
  std::vector<float> state(4096);
  workspace_memory memory({1 << 20, 1 << 12});
  auto const refused = [&](std::span<float> room, int first) {
    kvs::device::scoring<strategy, emulated_device<32>, layer_type, query_type> const call(
        on, {layers.data(), layers.size()}, {queries.data(), queries.size()}, p);
    auto const s = call.run_part({room, first}, memory.get());
    CHECK(!s);
    char line[200];
    return std::string(s.state.message(line));
  };
  CHECK(refused(state, -1) == "part.first is -1, must be at least 0");
  CHECK(refused(state, 9) == "view 0: part.first + queries.tokens is 17, must be at most the observed queries, 16");
  CHECK(refused({state.data(), 10}, 0).starts_with("part.state is 10, floats; it must be at least "));
  queries[1] = asked_views::part(l.qb, 0, 7);
  CHECK(refused(state, 0) == "view 1: queries.tokens is 7, must be, in parts, as many as of the first view, 8");
  CHECK(launches == 0);
}
}  // namespace query_parts_tests
