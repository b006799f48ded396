// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What must not change a score: how queries are named, split and brought, and tokens that nothing sees.
#include <catch2/catch_all.hpp>

#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/reference/group.hpp>
#include <kvsieve/reference/query_sets.hpp>

#include "planned.hpp"

namespace reference = kvsieve::reference;
using kvsieve::query_set;

namespace {
namespace kvs = kvsieve;
namespace agg = kvsieve::aggregate;
}  // namespace

namespace {
/// Scores of a strategy over one cache, forced tokens marked +inf.
template <class C, class L>
std::vector<std::vector<float>> scores_of(L const& layer, typename C::params const& params) {
  std::vector<L> const one{layer};
  auto const p = support::make_plan<C>(0, one, params);
  REQUIRE(p.plan);
  std::vector<std::vector<float>> all;
  for (int h = 0; h < p.plan.heads; ++h) {
    auto const row = p.plan.scores(0, h);
    all.emplace_back(row.begin(), row.end());
  }
  return all;
}
template <class Observed, class... Ps>
using attention = kvs::compressor<kvs::score::attention<Observed>, Ps...>;
using kvs::observe::all, kvs::observe::history, kvs::observe::lookahead, kvs::observe::proxy, kvs::observe::sets;
using floats = support::layer<float, 64>;
floats cache(int tokens, int queries, std::uint32_t seed = 5) {
  return {2, 3, tokens, queries, support::layout::packed, support::content::normal, seed};
}
/// The first `tokens` rows of another cache, and its queries.
floats first_rows(floats const& from, int tokens) {
  floats to = from;
  to.keys = support::tensor<float, 64>(2, tokens);
  to.values = support::tensor<float, 64>(2, tokens);
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < tokens; ++t)
      for (int d = 0; d < 64; ++d) {
        to.keys.set(h, t, d, from.keys.get(h, t, d));
        to.values.set(h, t, d, from.values.get(h, t, d));
      }
  return to;
}
kvs::cs::span<query_set const> span_of(std::vector<query_set> const& s) { return {s.data(), s.size()}; }
}  // namespace

TEST_CASE("window, all, history, proxy and lookahead are sets, bit for bit") {
  int const n = 190;
  auto const l = cache(n, n);
  auto const as_sets = [&](std::vector<query_set> const& s, int recent) {
    int given = 0;
    for (auto const& set : s) given += set.count;
    floats cut = l;
    cut.queries = support::tensor<float, 64>(6, given);
    for (int h = 0; h < 6; ++h)
      for (int i = 0; i < given; ++i)
        for (int d = 0; d < 64; ++d) cut.queries.set(h, i, d, l.queries.get(h, n - given + i, d));
    return scores_of<attention<sets>>(cut, {.score = {.sets = span_of(s), .recent = recent}});
  };
  CHECK(scores_of<attention<kvs::observe::window>>(l, {.score = {.window = 70}}) == as_sets({{70, 1, n - 70}}, 70));
  CHECK(scores_of<attention<all>>(l, {}) == as_sets({{n, 1, 0}}, 0));
  CHECK(scores_of<attention<history>>(l, {.score = {.window = 33}}) == as_sets({{33, 1, n - 33}}, 0));
  CHECK(scores_of<attention<history>>(l, {.score = {.window = 0}}) == as_sets({{n, 1, 0}}, 0));
  CHECK(scores_of<attention<proxy>>(l, {.score = {.share = 0.1}}) == as_sets({{19}}, 0));
  CHECK(scores_of<attention<lookahead>>(l, {.score = {.queries = 5, .window = 3}}) == as_sets({{3, 1, n - 3}, {5}}, 3));
  CHECK(scores_of<attention<lookahead>>(l, {.score = {.queries = 5, .window = 3, .as_source = true}}) ==
        as_sets({{8, 1, n - 8}}, 3));
}

TEST_CASE("a set split into several changes no bit of any score") {
  auto const l = cache(150, 100);
  std::vector<query_set> const one{{100, 1, 50}}, many{{1, 1, 50}, {63, 1, 51}, {30, 1, 114}, {6, 1, 144}};
  auto const same = [&]<class A>() {
    CHECK(scores_of<attention<sets, A>>(l, {.score = {.sets = span_of(one)}}) ==
          scores_of<attention<sets, A>>(l, {.score = {.sets = span_of(many)}}));
  };
  same.operator()<agg::mean>();
  same.operator()<agg::mean_visible>();
  same.operator()<agg::root_mean_square>();
  same.operator()<agg::max>();
}

TEST_CASE("a token that no query sees changes no score") {
  auto const longer = cache(200, 60);
  auto const l = first_rows(longer, 131);
  // All queries stand before the new tokens; some see a part of what lies before them.
  std::vector<query_set> const some{{20, 1, 40}, {30, 2, 100, 3, 10, 61}, {10, 0.5f, 121, 0, 0, 0}};
  auto const a = scores_of<attention<sets, agg::root_mean_square>>(l, {.score = {.sets = span_of(some)}});
  auto const b = scores_of<attention<sets, agg::root_mean_square>>(longer, {.score = {.sets = span_of(some)}});
  for (std::size_t h = 0; h < 2; ++h) {
    CHECK(std::vector<float>(b[h].begin(), b[h].begin() + 131) == a[h]);
    CHECK(std::all_of(b[h].begin() + 131, b[h].end(), [](float x) { return x == 0.0f; }));
  }
}

TEST_CASE("without a mask, scores go where their tokens go") {
  auto const l = cache(171, 9);
  auto moved = l;
  std::vector<int> to(171);
  for (int t = 0; t < 171; ++t) to[static_cast<std::size_t>(t)] = t * 50 % 171;
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 171; ++t)
      for (int d = 0; d < 64; ++d) moved.keys.set(h, to[static_cast<std::size_t>(t)], d, l.keys.get(h, t, d));
  auto const a = scores_of<attention<proxy, agg::sum>>(l, {.score = {.queries = 9}});
  auto const b = scores_of<attention<proxy, agg::sum>>(moved, {.score = {.queries = 9}});
  for (std::size_t h = 0; h < 2; ++h)
    for (std::size_t t = 0; t < 171; ++t) {
      CAPTURE(h, t);
      CHECK(std::abs(b[h][static_cast<std::size_t>(to[t])] - a[h][t]) <= 1e-5f * a[h][t]);
    }
}

namespace {
/// Scores a strategy whose queries come in parts that end before the given ones; done(scores) at the end.
template <class C, class L, class Done>
void score_parts(L const& layer, typename C::params const& params, std::vector<int> const& ends, Done const& done) {
  kvs::host::on const on;
  auto const view = layer.const_view();
  using view_type = std::remove_const_t<decltype(view)>;
  kvs::cs::span<view_type const> const views(&view, 1);
  std::vector<float> state;
  for (std::size_t i = 0, first = 0; i < ends.size(); first = static_cast<std::size_t>(ends[i++])) {
    int const count = ends[i] - static_cast<int>(first), heads = layer.queries.heads();
    support::tensor<float, 64> own(heads, count);
    for (int h = 0; h < heads; ++h)
      for (int q = 0; q < count; ++q)
        for (int d = 0; d < 64; ++d) own.set(h, q, d, layer.queries.get(h, static_cast<int>(first) + q, d));
    auto const queries = static_cast<support::tensor<float, 64> const&>(own).view();
    using query_type = std::remove_const_t<decltype(queries)>;
    kvs::cs::span<query_type const> const given(&queries, 1);
    if (i == 0) state.assign(kvs::score_tokens_state_floats<C>(on, views, given, params), 99.0f);
    REQUIRE(!state.empty());
    support::workspace memory(kvs::score_tokens_part_workspace_bytes<C>(on, views, given, params));
    auto const s = kvs::score_tokens<C>(on, views, given, params, {state, static_cast<int>(first)}, memory.span());
    REQUIRE(s);
    REQUIRE(memory.guards_hold());
    REQUIRE((s.score != nullptr) == (i + 1 == ends.size()));
    if (s.score != nullptr) done(s);
  }
}
/// The scores of each head.
template <class C, class L>
std::vector<std::vector<float>> in_parts(L const& layer, typename C::params const& params,
                                         std::vector<int> const& ends) {
  std::vector<std::vector<float>> all;
  score_parts<C>(layer, params, ends, [&](kvs::token_scores const& s) {
    for (int h = 0; h < s.shape.heads; ++h) {
      auto const row = s.scores(0, h);
      all.emplace_back(row.begin(), row.end());
    }
  });
  return all;
}
/// All scores before the forced tail are the same, or within `bound` of each other.
bool alike(std::vector<std::vector<float>> const& a, std::vector<std::vector<float>> const& b, std::size_t scored,
           float bound) {
  bool same = a.size() == b.size();
  for (std::size_t h = 0; same && h < a.size(); ++h)
    for (std::size_t t = 0; t < scored; ++t) same = same && std::abs(a[h][t] - b[h][t]) <= bound * std::abs(b[h][t]);
  return same;
}
}  // namespace

TEST_CASE("queries split over calls change nothing") {
  auto const l = cache(200, 150);
  auto const check = [&]<class A, class G>() {
    using strategy = attention<kvs::observe::window, A, G>;
    typename strategy::params const p{.score = {.window = 150}};
    auto const once = scores_of<strategy>(l, p);
    CHECK(alike(in_parts<strategy>(l, p, {150}), once, 50, 0));
    CHECK(alike(in_parts<strategy>(l, p, {64, 128, 150}), once, 50, 0));
    CHECK(alike(in_parts<strategy>(l, p, {1, 40, 41, 99, 150}), once, 50, 1e-5f));
  };
  check.operator()<agg::mean, agg::group_mean>();
  check.operator()<agg::mean_visible, agg::group_max>();
  check.operator()<agg::root_mean_square, agg::group_mean>();
  check.operator()<agg::max, agg::group_max>();
}

TEST_CASE("queries split over calls give the numbers of the view and the weighed scores too") {
  using strategy = kvs::cake<kvs::weigh::value_norm, kvs::select::two_stage>;
  constexpr int tokens = 200, queries = 150;
  auto const l = cache(tokens, queries);
  strategy::params const p{.score = {.window = queries}};
  std::vector<double> numbers[2];
  std::vector<float> weighed[2];
  for (int parts : {0, 1})
    score_parts<strategy>(
        l, p, parts == 0 ? std::vector<int>{queries} : std::vector<int>{64, 128, queries},
        [&](kvs::token_scores const& s) {
          REQUIRE(s.statistics.each == 2);
          REQUIRE(s.weighed != nullptr);
          for (int i = 0; i < 2; ++i) numbers[parts].push_back(s.statistics.of(0, i));
          for (int h = 0; h < s.shape.heads; ++h)
            for (int t = 0; t < tokens - queries; ++t) {
              double squares = 0;
              for (int d = 0; d < 64; ++d) {
                auto const x = static_cast<double>(l.values.get(h, t, d));
                squares += x * x;
              }
              auto const at = static_cast<std::size_t>(t);
              float const x = s.weighed[s.score_offset[0] + h * kvs::score_stride(tokens) + t];
              CHECK(static_cast<double>(x) ==
                    Catch::Approx(static_cast<double>(s.scores(0, h)[at]) * std::sqrt(squares)).epsilon(1e-5));
              weighed[parts].push_back(x);
            }
        });
  CHECK(numbers[0] == numbers[1]);
  CHECK(numbers[0][0] > 0);
  CHECK(weighed[0] == weighed[1]);
}

TEST_CASE("a call with a part of the queries refuses what does not fit and leaves the state alone") {
  using strategy = attention<kvs::observe::window>;
  auto const l = cache(40, 8);
  kvs::host::on const on;
  auto const view = l.const_view();
  auto const queries = l.queries.view();
  using view_type = std::remove_const_t<decltype(view)>;
  using query_type = std::remove_const_t<decltype(queries)>;
  kvs::cs::span<view_type const> const views(&view, 1);
  kvs::cs::span<query_type const> const given(&queries, 1);
  strategy::params const p{.score = {.window = 16}};
  std::vector<float> state(kvs::score_tokens_state_floats<strategy>(on, views, given, p), 99.0f);
  support::workspace memory(kvs::score_tokens_part_workspace_bytes<strategy>(on, views, given, p));
  auto const refused = [&](std::span<float> room, int first, std::vector<std::string> const& parts) {
    auto const s = kvs::score_tokens<strategy>(on, views, given, p, {room, first}, memory.span());
    char line[200];
    std::string const text(s.state.message(line));
    CAPTURE(text);
    CHECK(!s);
    for (auto const& part : parts) CHECK(text.find(part) != std::string::npos);
    CHECK(std::all_of(state.begin(), state.end(), [](float x) { return x == 99.0f; }));
  };
  refused(state, -1, {"part.first is -1", "at least 0"});
  refused(state, 9, {"part.first + queries.tokens is 17", "observed queries, 16"});
  refused(std::span(state).first(state.size() - 1), 0, {"part.state is", "floats"});
}

TEST_CASE("kvzip_normalized: a factor of each query and of each token in each query head") {
  constexpr int cached = 75, pass = 20, heads = 6;
  auto const l = cache(cached + pass, pass);
  std::vector<kvs::observe::repeated> const chunks{{4, 40, 9}, {40, cached, 11}};
  std::vector<float> scale, weight;
  for (int i = 0; i < pass; ++i) scale.push_back(0.5f + static_cast<float>(i % 7));
  for (int i = 0; i < heads * cached; ++i) weight.push_back(0.25f + static_cast<float>(i % 11));
  using strategy = kvs::kvzip_normalized<kvs::budget::uniform, kvs::store::dense>;
  auto const got = scores_of<strategy>(l, {.score = {.chunks = {chunks.data(), 2}, .sink = 4, .scale = scale},
                                           .group = {.weight = weight, .query_heads = heads, .tokens = cached}});
  std::vector<query_set> const sets_of_pass{{9, 1, cached, 4, 4, 40}, {11, 1, cached + 9, 4, 40, cached}};
  for (int h = 0; h < 2; ++h) {
    std::vector<double> each, of_head, want(cached);
    for (int g = 0; g < 3; ++g) {
      auto rows =
          reference::rows_of_sets(l.queries.view(), h * 3 + g, l.keys.view(), h, std::span(sets_of_pass), cached, true);
      for (int i = 0; i < pass; ++i)
        for (int t = 0; t < rows.tokens; ++t)
          rows.number[static_cast<std::size_t>(i * rows.tokens + t)] *=
              static_cast<double>(scale[static_cast<std::size_t>(i)]);
      std::vector<double> one(cached);
      reference::weighted_max(rows, 0, one);
      each.insert(each.end(), one.begin(), one.end());
      for (int t = 0; t < cached; ++t)
        of_head.push_back(static_cast<double>(weight[static_cast<std::size_t>((h * 3 + g) * cached + t)]));
    }
    reference::group_max_weighed(each, of_head, 3, want);
    auto const& row = got[static_cast<std::size_t>(h)];
    REQUIRE(row.size() == cached);
    for (std::size_t t = 4; t < cached; ++t) {
      CAPTURE(h, t);
      CHECK(std::abs(static_cast<double>(row[t]) - want[t]) <= 1e-5 * want[t]);
    }
  }
}
