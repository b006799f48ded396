// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/composite.hpp>
#include <kvsieve/reference/composite.hpp>
#include <kvsieve/reference/layer_scores.hpp>

#include <numeric>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::composite;

// A head's scores without the forced tokens; what cannot be sorted is left to other tests.
std::vector<double> free_scores(support::scored_views const& g, int v, int h) {
  auto const row = g.ranked(v, h);
  std::vector<double> scores;
  for (std::size_t t = 0; t < row.score.size(); ++t)
    if (!row.stays[t]) scores.push_back(row.score[t]);
  return scores;
}
}  // namespace

TEST_CASE("sort_keys: scores of any kind, the largest first") {
  using kvsieve::ordered, kvsieve::score_of;
  for (float const x : {1.5f, -2.25f, 0.0f, HUGE_VALF, -HUGE_VALF, 0x1p-149f, -0x1p-149f})
    CHECK(score_of(ordered(x)) == x);
  CHECK(std::isnan(score_of(ordered(NAN))));
  CHECK(support::holds("sort_keys", 300, [] {
    std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
    auto const n = static_cast<std::size_t>(*rc::gen::resize(100, rc::gen::inRange(0, 900)));
    std::vector<unsigned> keys, spare(n + 1, 77u);
    for (float const x :
         support::draw_scores(random, *rc::gen::resize(100, rc::gen::inRange(0, support::score_kinds)), n))
      keys.push_back(ordered(x));
    auto want = keys;
    std::sort(want.begin(), want.end(), std::greater<>{});
    kvsieve::host::sort_keys(keys.data(), spare.data(), static_cast<long>(n));
    RC_ASSERT(keys == want);
    RC_ASSERT(spare.back() == 77u);
  }));
}

namespace {
// Layers of as many tokens as each says, and room for counting.
struct composition {
  long heads;
  std::vector<long> tokens;
  std::vector<std::vector<std::vector<float>>> score;  // layer, head

  std::vector<long> count(long total, std::vector<long> const& least, int workers) const {
    long const layers = static_cast<long>(tokens.size());
    long scores = 0;
    for (long const n : tokens) scores += heads * kvsieve::score_stride(n);
    auto const carve = [&](kvsieve::arena& a) {
      auto const rows = kvsieve::host::count_best_scratch::carve(a, layers * heads, scores);
      return std::pair(rows, kvsieve::host::count_places_scratch::carve(a, layers, heads, scores));
    };
    kvsieve::arena size;
    (void)carve(size);
    support::workspace memory(size.used());
    kvsieve::arena a(memory.span());
    auto const [rows, places] = carve(a);
    auto const row = [&](long l, long h) {
      auto const& own = score[static_cast<std::size_t>(l)][static_cast<std::size_t>(h)];
      return kvsieve::host::competing_row{own.data(), {static_cast<int>(own.size())}};
    };
    std::vector<long> kept(tokens.size(), 77);
    kvsieve::host::team team(workers);
    kvsieve::host::on<kvsieve::host::detail::team_pool> const on(team);
    kvsieve::host::count_places(on, layers, heads, row, total, least.data(), kept.data(), rows, places);
    CHECK(memory.guards_hold());
    return kept;
  }
  std::vector<long> reference(long total) const {
    std::vector<std::vector<std::vector<double>>> wide;
    for (auto const& layer : score) {
      wide.emplace_back();
      for (auto const& head : layer) wide.back().emplace_back(head.begin(), head.end());
    }
    return kvsieve::reference::composite(wide, total);
  }
};

// Rows long enough to be looked at in samples: normal, tied, of a few values, in order, a wave of a sample's length.
composition draw_composition() {
  std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
  std::normal_distribution<float> normal;
  composition c;
  c.heads = *rc::gen::resize(100, rc::gen::inRange(1, 4));
  bool const alike = *rc::gen::arbitrary<bool>();
  long const longest = *rc::gen::element(1500, 4000, 9000);
  for (int l = *rc::gen::resize(100, rc::gen::inRange(1, 5)); l-- > 0;) {
    c.tokens.push_back(alike ? longest : longest / static_cast<long>(1 + random() % 3));
    c.score.emplace_back();
    for (long h = 0; h < c.heads; ++h) {
      auto const kind = random() % 6;
      float const scale = std::exp(normal(random));
      auto& row = c.score.back().emplace_back();
      for (long t = 0; t < c.tokens.back(); ++t) {
        auto const at = static_cast<float>(t);
        float const x = normal(random);
        float const kinds[] = {x, std::exp(3 * x), 0.5f, std::round(x), at, static_cast<float>(t % (longest / 256))};
        row.push_back(scale * kinds[kind]);
      }
    }
  }
  return c;
}
}  // namespace

TEST_CASE("count_places: samples and brackets change nothing") {
  CHECK(support::holds("count_places", 150, [] {
    composition const c = draw_composition();
    long const all = std::accumulate(c.tokens.begin(), c.tokens.end(), 0L);
    long const total = static_cast<long>(*support::fractions() * static_cast<double>(all));
    std::vector<long> least(c.tokens.size(), 0);
    auto const kept = c.count(total, least, 1);
    RC_ASSERT(kept == c.reference(total));
    RC_ASSERT(kept == c.count(total, least, 3));
    // With a least, that of who falls short comes out of the others' share, one after another.
    for (std::size_t l = 0; l < least.size(); ++l) least[l] = std::min(c.tokens[l], l % 2 == 0 ? total / 8 : total / 4);
    long const needed = std::accumulate(least.begin(), least.end(), 0L);
    auto const with_least = c.count(total, least, 2);
    if (needed >= total) return RC_ASSERT(with_least == least);
    long reached = total;
    auto raised = [&](std::vector<long> counts) {
      for (std::size_t l = 0; l < least.size(); ++l) counts[l] = std::max(counts[l], least[l]);
      return counts;
    };
    for (long low = 0, high = total; low <= high;) {
      long const middle = (low + high) / 2;
      auto const counts = raised(c.reference(middle));
      if (std::accumulate(counts.begin(), counts.end(), 0L) >= total)
        reached = middle, high = middle - 1;
      else
        low = middle + 1;
    }
    RC_ASSERT(with_least == raised(c.reference(reached)));
  }));
}

TEST_CASE("count_places: numbers that are none, and infinite ones that meet, come last") {
  composition c{2, {2, 3}, {}};
  // Places: 5 -inf; 9 (inf and -inf meet: -inf) nan.
  c.score = {{{6, 0}, {4, -HUGE_VALF}}, {{10, HUGE_VALF, NAN}, {8, -HUGE_VALF, -HUGE_VALF}}};
  std::vector<long> const least(2, 0);
  CHECK(c.count(1, least, 1) == std::vector<long>{1, 0});  // raised to inf
  CHECK(c.count(2, least, 1) == std::vector<long>{1, 1});
  CHECK(c.count(3, least, 1) == std::vector<long>{2, 1});
  CHECK(c.count(5, least, 1) == std::vector<long>{2, 3});
}

TEST_CASE("composite: places are ranked, not tokens") {
  support::scored_views g;
  g.s.kv_heads = 2;
  g.s.tokens = {4, 4};
  g.longest = 4;
  // Averages by place: 4 2 1 0, and 5 3 1 0; the first layer is raised to 5 3 1 0.
  g.table = {4, 2, 1, 0, /**/ 0, 1, 2, 4, /**/ 9, 5, 1, 0, /**/ 1, 0, 1, 1};
  auto const counts = [&](composite::params const& p) {
    return support::counts_of(support::plan_budget<composite>(g, p).plan);
  };
  CHECK(counts({.keep = 0.5}) == std::vector{2, 2, 2, 2});
  CHECK(counts({.keep = 3.0 / 8}) == std::vector{2, 2, 1, 1});  // 5 5 3: the lower layer first
  CHECK(counts({.keep = 3.0 / 8, .layers = 1}) == std::vector{1, 1, 1, 1});
  CHECK(counts({.tokens = 4}) == std::vector{4, 4, 4, 4});
  CHECK(counts({.keep = 0}) == std::vector{0, 0, 0, 0});
  g.table = {4, 2, 1, 0, /**/ 0, 1, 2, 4, /**/ 0, 0, 0, 0, /**/ 0, 0, 0, 0};
  CHECK(counts({.keep = 3.0 / 8}) == std::vector{3, 3, 0, 0});
  CHECK(counts({.keep = 3.0 / 8, .least = 1}) == std::vector{2, 2, 1, 1});
  g.recent = 1;  // counted, and not part of the averages
  CHECK(counts({.keep = 3.0 / 8}) == std::vector{2, 2, 1, 1});
  g.recent = 2;
  auto const p = support::plan_budget<composite>(g, {.keep = 3.0 / 8});
  CHECK(support::counts_of(p.plan) == std::vector{2, 2, 1, 1});
  CHECK(!p.plan.note);
}

TEST_CASE("composite: counts are the reference's, alike in a layer, and their sum is exact") {
  CHECK(support::holds("composite: counts are the reference's", 250, [] {
    auto g = support::draw_views();
    for (float& x : g.table)
      if (!std::isfinite(x)) x = -1.0f;
    double const keep = *support::fractions();
    auto const p = support::plan_budget<composite>(g, {.keep = keep});
    long all = 0, forced = 0;
    std::vector<long> most;
    std::vector<std::vector<std::vector<double>>> layers;
    for (int v = 0; v < g.s.views(); ++v) {
      all += g.tokens(v);
      most.push_back(g.tokens(v));
      forced += g.forced_count(v);
      layers.emplace_back();
      for (int h = 0; h < g.s.kv_heads; ++h) layers.back().push_back(free_scores(g, v, h));
    }
    long const total = static_cast<long>(static_cast<double>(all) * keep);
    std::vector<long> const want = total < forced ? kvsieve::reference::share_equally(total, most)
                                                  : kvsieve::reference::composite(layers, total - forced);
    long sum = 0;
    for (int v = 0; v < g.s.views(); ++v) {
      long const own = want[static_cast<std::size_t>(v)] + (total < forced ? 0 : g.forced_count(v));
      sum += own;
      for (int h = 0; h < g.s.kv_heads; ++h) RC_ASSERT(p.plan.count(v, h) == own);
    }
    RC_ASSERT(sum == total);
  }));
}

TEST_CASE("composite: scores that are no numbers rank last") {
  support::scored_views g;
  g.s.kv_heads = 1;
  g.s.tokens = {3, 3};
  g.longest = 3;
  g.table = {NAN, NAN, 1, /**/ -HUGE_VALF, 2, NAN};
  CHECK(support::counts_of(support::plan_budget<composite>(g, {.keep = 0.5}).plan) == std::vector{2, 1});  // 2, 2, -inf
}

TEST_CASE("composite: numbers out of range are refused") {
  support::check_refused(support::state_of<composite>({.least = -1}), kvsieve::errc::bad_params,
                         {"budget.least", "-1", "0"});
  support::check_refused(support::state_of<composite>({.layers = 2}), kvsieve::errc::bad_shape, {"layers", "3", "2"});
}
