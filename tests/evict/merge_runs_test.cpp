// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KVMerger: the selection of one token of every run, and its merging.
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/reference/kv_merger.hpp>
#include <kvsieve/reference/random.hpp>
#include <kvsieve/select/runs.hpp>
#include <kvsieve/store/ragged.hpp>

#include <catch2/catch_all.hpp>

#include "merging.hpp"

using namespace kvsieve;

namespace {
using C = compressor<score::random, select::runs, evict::merge_runs, store::ragged>;

// True where rounding may decide whether two neighbours are linked.
bool close_links(reference::head_to_merge const& h, double alike) {
  for (std::size_t t = 1; t < h.keys.size(); ++t)
    if (double const c = reference::cosine(h.keys[t - 1], h.keys[t]); c != alike && std::abs(c - alike) < 1e-5)
      return true;
  return false;
}
}  // namespace

TEST_CASE("kv_merger keeps a token of every run and merges the run into it") {
  CHECK(support::holds("kv_merger", 150, [] {
    auto const s = *support::shapes(1, 300);
    C::params params{.score = {.seed = s.seed}};
    params.select.alike = params.evict.nearest.alike = *rc::gen::element(-1.0f, -0.05f, 0.0f, 0.1f, 0.75f);
    params.select.heavy = *rc::gen::element(0.0, 0.1, 0.5);
    params.select.sink = *rc::gen::element(0, 4);
    params.select.recent = *rc::gen::element(0, 8);
    params.evict.weight.sigma = *rc::gen::element(0.0f, 0.0f, 3.0f);
    params.evict.weight.with_own = *rc::gen::arbitrary<bool>();
    params.evict.most_bias = 15.9375f;
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      support::merged<C, T, D, Strided> const m(s, params);
      for (int v = 0; v < s.views(); ++v)
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const head = m.head(v, h);
          if (close_links(head, static_cast<double>(params.select.alike))) continue;
          std::vector<double> scores(head.keys.size());
          reference::random(s.seed, static_cast<std::uint64_t>(v * s.kv_heads + h), scores);
          auto const runs =
              reference::runs_of(head.keys, scores, static_cast<double>(params.select.alike), params.select.heavy,
                                 support::ends(params.select.sink, params.select.recent));
          RC_ASSERT(head.kept == runs.pivots);
          auto const want = reference::kv_merger(head, runs, static_cast<double>(params.evict.weight.sigma),
                                                 params.evict.weight.with_own);
          support::assert_merged(m, v, h, want, 15.9375);
        }
    });
  }));
}

TEST_CASE("kv_merger with an exact count keeps what the budget says, and merges the same runs") {
  CHECK(support::holds("kv_merger, exact", 150, [] {
    auto const s = *support::shapes(1, 300);
    C::params params{.score = {.seed = s.seed}, .budget = {.keep = *support::fractions()}};
    params.select.exact = params.evict.nearest.exact = true;
    params.select.heavy = params.evict.nearest.heavy = *rc::gen::element(0.0, 0.1, 0.5, 1.0);
    params.select.sink = *rc::gen::element(0, 4);
    params.select.recent = *rc::gen::element(0, 8);
    params.evict.most_bias = 15.9375f;
    support::with_combination<3>(s.combination, [&]<class T, int D, bool Strided>() {
      support::merged<C, T, D, Strided> const m(s, params);
      for (int v = 0; v < s.views(); ++v)
        for (int h = 0; h < s.kv_heads; ++h) {
          auto const head = m.head(v, h);
          int const tokens = static_cast<int>(head.keys.size()),
                    count = static_cast<int>(std::floor(tokens * params.budget.keep));
          std::vector<double> scores(head.keys.size());
          reference::random(s.seed, static_cast<std::uint64_t>(v * s.kv_heads + h), scores);
          auto const forced = support::ends(params.select.sink, params.select.recent);
          auto const runs = reference::runs_of(head.keys, scores, 0, params.select.heavy, forced, count);
          // As many as asked for, or as few as the protected tokens let.
          RC_ASSERT(head.kept.size() == runs.pivots.size());
          RC_ASSERT(static_cast<int>(head.kept.size()) >= count);
          if (reference::runs_of(head.keys, scores, -2, params.select.heavy, forced).sets.size() <=
              static_cast<std::size_t>(count))
            RC_ASSERT(static_cast<int>(head.kept.size()) == count);
          // Which pairs: where rounding cannot tell the last of them from the next.
          auto const next =
              reference::runs_of(head.keys, scores, 0, params.select.heavy, forced, std::max(count - 1, 0));
          auto const linked = [&](reference::token_runs const& r) {
            std::vector<double> c;
            for (auto const& set : r.sets)
              for (std::size_t i = 1; i < set.size(); ++i)
                c.push_back(reference::cosine(head.key(set[i - 1]), head.key(set[i])));
            std::sort(c.begin(), c.end());
            return c;
          };
          auto const own = linked(runs), more = linked(next);
          if (!own.empty() && more.size() > own.size() && own.front() - more.front() < 1e-5) continue;
          RC_ASSERT(head.kept == runs.pivots);
          support::assert_merged(m, v, h, reference::kv_merger(head, runs, 0, true), 15.9375);
        }
    });
  }));
}

TEST_CASE("kv_merger with an exact count: of equal neighbours the first are linked") {
  support::shape s;
  s.kv_heads = 2;
  s.tokens = {100};
  s.what = support::content::equal;
  C::params params{.budget = {.tokens = 60}};
  params.select = {.exact = true, .heavy = 0, .sink = 10, .recent = 10};
  params.evict.nearest = {.exact = true, .heavy = 0};
  support::merged<C, float, 64, false> const m(s, params);
  for (int h = 0; h < 2; ++h) {
    auto const head = m.head(0, h);
    REQUIRE(head.kept.size() == 60);
    // Tokens 10 to 50 are one run of 40 links; all others stay.
    for (int const t : head.evicted) CHECK((t >= 10 && t <= 50));
    int pivots = 0;
    for (int const t : head.kept) pivots += t >= 10 && t <= 50 ? 1 : 0;
    CHECK(pivots == 1);
  }
}

TEST_CASE("kv_merger: two equal distances give the weights of the Gaussian of their mean") {
  support::shape s;
  s.kv_heads = 1;
  s.tokens = {2};
  C::params params;
  params.select = {.alike = -1, .heavy = 0, .sink = 0, .recent = 0};
  params.evict.nearest.alike = -1;
  support::merged<C, float, 64, false> const m(s, params);
  auto const head = m.head(0, 0);
  REQUIRE(head.kept.size() == 1);
  double const w = 1 / (1 + std::exp(-1.0));  // d and 0, sigma^2 = d / 2
  for (int d = 0; d < 64; ++d) {
    auto const i = static_cast<std::size_t>(d);
    double const want = w * head.value(head.kept[0])[i] + (1 - w) * head.value(head.evicted[0])[i];
    CHECK(std::abs(reference::element_at(m.result[0].values.view(), 0, 0, d) - want) < 1e-5);
  }
}
