// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Published methods as presets: each against the formula of its source, spelled out over the references.
#include <catch2/catch_all.hpp>

#include <functional>

#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/group.hpp>
#include <kvsieve/reference/max.hpp>
#include <kvsieve/reference/query_sets.hpp>
#include <kvsieve/reference/redundancy.hpp>
#include <kvsieve/reference/worst_case.hpp>

#include "cache.hpp"
#include "refusal.hpp"
#include "workspace.hpp"

namespace {
namespace kvs = kvsieve;
namespace reference = kvsieve::reference;
using kvs::query_set;
using numbers = std::vector<double>;
using heads = std::vector<numbers>;  // of each KV head
constexpr int kv_heads = 2, group = 3;

support::layer<float, 64> cache(int tokens, int queries) {
  return {kv_heads, group, tokens, queries, support::layout::packed, support::content::normal, 11};
}

/// A preset's scores of every head; +inf where forced.
template <class C>
heads scores(support::layer<float, 64> const& l, typename C::params const& params) {
  kvs::host::on const on;
  auto const view = l.const_view();
  auto const queries = l.queries.view();
  support::workspace memory(kvs::workspace_bytes<C>(on, view, queries, params));
  auto const p = kvs::plan<C>(on, view, queries, params, memory.span());
  REQUIRE(p);
  heads all;
  for (int h = 0; h < kv_heads; ++h) all.emplace_back(p.scores(0, h).begin(), p.scores(0, h).end());
  return all;
}

/// What `fold` makes of the rows of each query head, and `join` of the query heads of a group.
using fold_type = std::function<void(reference::observed_rows const&, std::span<double>)>;
using join_type = std::function<void(std::span<double const>, int, std::span<double>)>;
heads by_formula(support::layer<float, 64> const& l, std::vector<query_set> const& sets, int cached,
                 fold_type const& fold, join_type const& join, bool softmax = true, double unseen = 0) {
  heads all;
  for (int h = 0; h < kv_heads; ++h) {
    numbers each, one(static_cast<std::size_t>(cached));
    for (int g = 0; g < group; ++g) {
      fold(reference::rows_of_sets(l.queries.view(), h * group + g, l.keys.view(), h, std::span(sets), cached, softmax,
                                   unseen),
           one);
      each.insert(each.end(), one.begin(), one.end());
    }
    join(each, group, one);
    all.push_back(one);
  }
  return all;
}
void check(heads const& got, heads const& want, double least = 0) {
  for (std::size_t h = 0; h < kv_heads; ++h) {
    REQUIRE(got[h].size() >= want[h].size());
    int compared = 0;
    for (std::size_t t = 0; t < want[h].size(); ++t) {
      if (got[h][t] == HUGE_VAL) continue;
      ++compared;
      CAPTURE(h, t, got[h][t], want[h][t]);
      CHECK(std::abs(got[h][t] - want[h][t]) <= 1e-5 * std::max(std::abs(want[h][t]), least));
    }
    CHECK(compared > 20);
  }
}
fold_type summed(reference::weighing how) {
  return [how](auto const& rows, auto out) { reference::weighted_sum(rows, how, out); };
}
fold_type largest(double unseen = 0) {
  return [unseen](auto const& rows, auto out) { reference::weighted_max(rows, unseen, out); };
}
join_type const mean = reference::group_mean, most = reference::group_max;
using reference::weighing;
}  // namespace

TEST_CASE("scissorhands is the sum over a history of queries, whose tokens are scored too") {
  auto const l = cache(60, 20);
  check(scores<kvs::scissorhands<>>(l, {.score = {.window = 20}}),
        by_formula(l, {{20, 1, 40}}, 60, summed(weighing::sum), mean));
}

TEST_CASE("nacl is the sum over proxies without a mask") {
  auto const l = cache(60, 6);
  check(scores<kvs::nacl<>>(l, {.score = {.share = 0.1}}), by_formula(l, {{6}}, 60, summed(weighing::sum), mean));
  check(scores<kvs::nacl<>>(l, {}), by_formula(cache(60, 6), {{1}}, 60, summed(weighing::sum), mean));
}

TEST_CASE("r_kv blends the max-pooled mean of the last window with redundancy") {
  auto const l = cache(60, 8);
  for (bool const sees_own : {true, false})
    for (float const lambda : {0.1f, 0.0f, 1.0f}) {
      query_set const set = sees_own ? query_set{8, 1, 52} : query_set{8, 1, -1, 0, 0, 52};
      auto want = by_formula(l, {set}, 60, summed(weighing::sum), mean);
      for (int h = 0; h < kv_heads; ++h) {
        auto& row = want[static_cast<std::size_t>(h)];
        numbers pooled(52), redundant(60);
        reference::max_pool(std::span<double const>(row).first(52), 7, pooled);
        reference::redundancy(l.keys.view(), h, 0.5, redundant);  // the negative
        for (std::size_t t = 0; t < 52; ++t)
          row[t] = static_cast<double>(lambda) * pooled[t] / 8 + (1 - static_cast<double>(lambda)) * redundant[t];
      }
      kvs::r_kv<>::params params;
      params.score.first.score.sees_own = sees_own;
      params.score.lambda = lambda;
      check(scores<kvs::r_kv<>>(l, params), want);
    }
  kvs::r_kv<>::params params;
  params.score.first.score = {.window = 60, .sees_own = false};
  auto const wide = cache(60, 60);
  kvs::host::on const on;
  support::workspace memory(1 << 20);
  support::check_refused(
      kvs::plan<kvs::r_kv<>>(on, wide.const_view(), wide.queries.view(), params, memory.span()).state,
      kvs::errc::bad_params, {"score.window is 60", "less than", "60"});
}

TEST_CASE("corm counts queries with at least the uniform share, in any query head") {
  auto const l = cache(60, 20);
  auto const count = [](reference::observed_rows const& rows, std::span<double> out) {
    for (std::size_t t = 0; t < out.size(); ++t) {
      out[t] = 0;
      for (int i = 0; i < 20; ++i) out[t] += rows.number[static_cast<std::size_t>(i) * 60 + t] >= 1.0 / (40 + i + 1);
    }
  };
  check(scores<kvs::corm<>>(l, {.score = {.window = 20}, .select = {.recent = 0}}),
        by_formula(l, {{20, 1, 40}}, 60, count, most));
}

TEST_CASE("finch multiplies each query's probabilities by the keys it sees") {
  auto const l = cache(60, 8);
  for (bool const as_source : {false, true}) {
    auto const fold = [&](reference::observed_rows const& rows, std::span<double> out) {
      for (std::size_t t = 0; t < out.size(); ++t) {
        out[t] = 0;
        for (int i = 0; i < 8; ++i)
          out[t] += rows.number[static_cast<std::size_t>(i) * 60 + t] * (52 + i + (as_source ? 0 : 1)) / 8;
      }
    };
    check(scores<kvs::finch<>>(l, {.score = {.window = 8}, .aggregate = {.as_source = as_source}}),
          by_formula(l, {{8, 1, 52}}, 60, fold, mean));
  }
}

TEST_CASE("lookahead_q is the max-pooled sum over a draft and the last of the prompt") {
  auto const l = cache(60, 9);
  auto const pooled = [&](std::vector<query_set> const& sets, int scored) {
    auto raw = by_formula(l, sets, 60, summed(weighing::sum), mean);
    for (auto& row : raw) {
      numbers out(static_cast<std::size_t>(scored));
      reference::max_pool(std::span<double const>(row).first(out.size()), 7, out);
      row = out;
    }
    return raw;
  };
  check(scores<kvs::lookahead_q<>>(l, {.score = {.queries = 5, .window = 4}, .smooth = {.kernel = 7}}),
        pooled({{4, 1, 56}, {5}}, 56));
  check(scores<kvs::lookahead_q<>>(l, {.score = {.queries = 9, .window = 0}, .smooth = {.kernel = 7}}),
        pooled({{9}}, 60));
  check(
      scores<kvs::lookahead_q<>>(l, {.score = {.queries = 5, .window = 4, .as_source = true}, .smooth = {.kernel = 7}}),
      pooled({{9, 1, 51}}, 56));
}

TEST_CASE("kvzip, kvzip_logits and kv_compose over a pass in two chunks") {
  auto const l = cache(60 + 21, 21);
  std::vector<kvs::observe::repeated> const chunks{{3, 30, 10}, {30, 60, 11}};
  std::vector<query_set> const sets{{10, 1, 60, 3, 3, 30}, {11, 1, 70, 3, 30, 60}};
  auto const zip = by_formula(l, sets, 60, largest(), most);
  check(scores<kvs::kvzip<>>(l, {.score = {.chunks = {chunks.data(), 2}, .sink = 3}}), zip);
  check(scores<kvs::kvzip_logits<>>(l, {.score = {.chunks = {chunks.data(), 2}, .sink = 3}}),
        by_formula(l, sets, 60, largest(-HUGE_VAL), most, false, -HUGE_VAL), 1);
  // Each head's own and the mean over the heads.
  auto compose = by_formula(l, sets, 60, largest(), mean);
  for (std::size_t t = 0; t < 60; ++t) {
    double const both = (compose[0][t] + compose[1][t]) / 2;
    compose[0][t] += both;
    compose[1][t] += both;
  }
  check(scores<kvs::kv_compose<>>(l, {.score = {.chunks = {chunks.data(), 2}, .sink = 3}}), compose);
}

TEST_CASE("a long view that several workers share gives the same bits, and kvzip's scores") {
  auto const l = cache(2300 + 40, 40);
  std::vector<kvs::observe::repeated> const chunks{{4, 1000, 15}, {1000, 2300, 25}};
  kvs::kvzip<>::params const params{.score = {.chunks = {chunks.data(), 2}}};
  auto const alone = scores<kvs::kvzip<>>(l, params);
  check(alone, by_formula(l, {{15, 1, 2300, 4, 4, 1000}, {25, 1, 2315, 4, 1000, 2300}}, 2300, largest(), most));
  kvs::host::team team{3};
  kvs::host::on const on{team};
  auto const view = l.const_view();
  auto const queries = l.queries.view();
  support::workspace memory(kvs::workspace_bytes<kvs::kvzip<>>(on, view, queries, params));
  auto const p = kvs::plan<kvs::kvzip<>>(on, view, queries, params, memory.span());
  REQUIRE(p);
  for (int h = 0; h < kv_heads; ++h) {
    auto const row = p.scores(0, h);
    CHECK(std::equal(row.begin(), row.end(), alone[static_cast<std::size_t>(h)].begin(),
                     [](float a, double b) { return static_cast<double>(a) == b; }));
  }
}

TEST_CASE("defensive_kv_unweighed pools the probabilities of queries that see parts of the keys") {
  constexpr int cached = 300, pass = 12, recent = 9;
  auto const l = cache(cached + pass, pass + 5);
  // Whole blocks of 64 keys stay unseen.
  std::vector<query_set> const sets{{pass, 1, cached, 3, 150, 260}, {5, 0.5f, 20}};
  using strategy =
      kvs::defensive_kv_unweighed<kvs::score::attention<kvs::observe::sets>, kvs::lift::none, kvs::protect::none>;
  auto const fold = [](reference::observed_rows const& rows, std::span<double> out) {
    numbers weighed = rows.number, all(static_cast<std::size_t>(rows.tokens));
    for (std::size_t i = 0; i < weighed.size(); ++i) weighed[i] *= rows.weight[i / all.size()];
    reference::worst_case(weighed, rows.queries, pass + recent, 5, all);
    std::copy(all.begin(), all.begin() + cached, out.begin());
  };
  check(scores<strategy>(
            l, {.score = {.sets = {sets.data(), 2}, .own = pass, .recent = recent}, .aggregate = {.kernel = 5}}),
        by_formula(l, sets, cached, fold, most));
}

TEST_CASE("a plan over a cache and a pass behind it is of the cache alone") {
  auto l = cache(60 + 21, 21);
  std::vector<kvs::observe::repeated> const chunks{{4, 60, 21}};
  using strategy = kvs::kvzip<kvs::budget::uniform, kvs::store::dense>;
  kvs::host::on const on;
  auto const view = l.const_view();
  auto const queries = l.queries.view();
  strategy::params const params{.score = {.chunks = {chunks.data(), 1}}, .budget = {.keep = 0.5}};
  support::workspace memory(kvs::workspace_bytes<strategy>(on, view, queries, params));
  auto const p = kvs::plan<strategy>(on, view, queries, params, memory.span());
  REQUIRE(p);
  CHECK(p.tokens() == 60);
  CHECK(p.count() == 30);
  for (int h = 0; h < kv_heads; ++h) {
    CHECK(p.kept(0, h).front() == 0);
    CHECK(p.kept(0, h).back() < 60);
  }
  CHECK(!kvs::apply<strategy>(on, p, l.view()));
  auto const first_rows = [](auto& tensor) {
    return kvs::make_rows<64>(tensor.memory().data(), kv_heads, 60, 81 * 64, 64);
  };
  auto const before = l.keys;
  REQUIRE(kvs::apply<strategy>(on, p, kvs::kv_layer{first_rows(l.keys), first_rows(l.values)}));
  for (int h = 0; h < kv_heads; ++h)
    for (int i = 0; i < 30; ++i)
      CHECK(l.keys.get(h, i, 7) == before.get(h, p.kept(0, h)[static_cast<std::size_t>(i)], 7));
}

TEST_CASE("mixed_queries is the root of a mixture of mean squares: a pass and the last window") {
  constexpr int pass = 25, window = 16, cached = 60;
  auto const l = cache(cached + pass, pass + window);
  std::vector<query_set> const mix{{pass, 0.7f / pass, cached, 4, 4, cached}, {window, 0.3f / window, cached - window}};
  auto const mean_square = [](reference::observed_rows const& rows, std::span<double> out) {
    for (std::size_t t = 0; t < out.size(); ++t) {
      double repeat = 0, last = 0;
      for (int i = 0; i < pass + window; ++i) {
        double const p = rows.number[static_cast<std::size_t>(i * rows.tokens) + t];
        (i < pass ? repeat : last) += p * p;
      }
      out[t] = std::sqrt(0.7 * repeat / pass + 0.3 * last / window);
    }
  };
  check(scores<kvs::mixed_queries<>>(l, {.score = {.sets = {mix.data(), 2}, .own = pass, .sink = 4}}),
        by_formula(l, mix, cached, mean_square, mean));
}

TEST_CASE("mean logits without a mask, joined over heads, are the mean query's product with each key") {
  auto const l = cache(50, 8);
  numbers raw(50);
  for (int t = 0; t < 50; ++t)
    for (int h = 0; h < kv_heads * group; ++h)
      for (int i = 0; i < 8; ++i)
        for (int d = 0; d < 64; ++d)
          raw[static_cast<std::size_t>(t)] += static_cast<double>(l.queries.get(h, i, d)) *
                                              static_cast<double>(l.keys.get(h / group, t, d)) / (8 * 8 * 6.0);
  // A sum of 8 * 6 logits of both signs, each of some units.
  using strategy =
      kvs::compressor<kvs::score::attention<kvs::observe::proxy, kvs::row_form::logits>, kvs::aggregate::heads_mean>;
  check(scores<strategy>(l, {.score = {.queries = 8}}), {raw, raw}, 1);
}
