// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/reference/layer_scores.hpp>
#include <kvsieve/reference/over_all.hpp>

#include <numeric>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::layer_scores;

std::vector<long> apportion(long total, std::vector<long> const& weight, std::vector<long> const& most,
                            std::vector<long> const& least = {}) {
  std::vector<kvsieve::cs::int64_t> share(weight.size());
  auto const at = [](std::vector<long> const& of) { return [&](auto i) { return of[static_cast<std::size_t>(i)]; }; };
  auto const n = static_cast<long>(weight.size());
  if (least.empty())
    kvsieve::counts::apportion(n, total, at(weight), at(most), share.data());
  else
    kvsieve::counts::apportion(n, total, at(weight), at(least), at(most), share.data());
  return {share.begin(), share.end()};
}
}  // namespace

TEST_CASE("apportion: in proportion, within limits, to the last one") {
  // What DynamicKV found in three layers of a small model, 112 tokens a head on average: 189.2, 83.9, 62.9.
  CHECK(apportion(336, {1703, 755, 566}, {560, 560, 560}) == std::vector<long>{189, 84, 63});
  CHECK(apportion(336, {1703, 755, 566}, {150, 560, 560}) == std::vector<long>{150, 106, 80});  // 186 by 755 : 566
  CHECK(apportion(10, {0, 0, 0}, {9, 9, 9}) == std::vector<long>{4, 3, 3});
  CHECK(apportion(10, {1, 0, 0}, {4, 9, 9}) == std::vector<long>{4, 3, 3});
  CHECK(apportion(10, {5, 1, 1}, {2, 2, 2}) == std::vector<long>{2, 2, 2});  // less room than there is
  CHECK(apportion(0, {5, 1, 1}, {2, 2, 2}) == std::vector<long>{0, 0, 0});
  CHECK(apportion(7, {1L << 40, 1L << 40}, {1L << 50, 1L << 50}) == std::vector<long>{4, 3});  // products past 2^63
}

TEST_CASE("apportion: quotas with a floor") {
  // Spans of 10, 30 and 60 tokens, the first one forced whole: 20 tokens in equal shares would be 2, 6, 12.
  CHECK(apportion(20, {10, 30, 60}, {10, 30, 60}, {0, 0, 0}) == std::vector<long>{2, 6, 12});
  CHECK(apportion(20, {10, 30, 60}, {10, 30, 60}, {10, 0, 0}) == std::vector<long>{10, 3, 7});  // 3.33, 6.67
  CHECK(apportion(20, {10, 30, 60}, {10, 30, 60}, {10, 4, 0}) == std::vector<long>{10, 4, 6});
  CHECK(apportion(20, {10, 30, 60}, {10, 30, 60}, {10, 9, 8}) == std::vector<long>{10, 9, 8});  // more than there are
  CHECK(apportion(20, {10, 30, 60}, {10, 30, 5}, {0, 0, 0}) == std::vector<long>{4, 11, 5});    // 3.75, 11.25
  CHECK(apportion(20, {1, 1, 98}, {20, 20, 10}, {0, 6, 0}) == std::vector<long>{4, 6, 10});
}

TEST_CASE("apportion: shares are the reference's and sum to the total") {
  CHECK(support::holds("apportion: shares are the reference's", 3000, [] {
    auto const n = static_cast<std::size_t>(*rc::gen::resize(100, rc::gen::inRange(1, 12)));
    auto const draw = [&](long end) {
      std::vector<long> x;
      for (std::size_t i = 0; i < n; ++i)
        x.push_back(*rc::gen::resize(
            100, rc::gen::weightedOneOf<long>({{1, rc::gen::just(0L)}, {4, rc::gen::inRange(0L, end)}})));
      return x;
    };
    auto const weight = draw(*rc::gen::element(3L, 100L, 100000L)), most = draw(*rc::gen::element(4L, 300L));
    long const room = std::accumulate(most.begin(), most.end(), 0L);
    long const total = *rc::gen::resize(100, rc::gen::inRange(0L, room + 1));
    std::vector<long> least(n, 0);
    if (*rc::gen::arbitrary<bool>())
      for (std::size_t i = 0; i < n; ++i) least[i] = *rc::gen::resize(100, rc::gen::inRange(0L, most[i] + 1));
    auto const got = apportion(total, weight, most, least);
    RC_ASSERT(got == kvsieve::reference::apportion(total, weight, most, least));
    RC_ASSERT(std::accumulate(got.begin(), got.end(), 0L) ==
              std::max(total, std::accumulate(least.begin(), least.end(), 0L)));
    for (std::size_t i = 0; i < n; ++i) RC_ASSERT(got[i] >= least[i] && got[i] <= most[i]);
  }));
}

TEST_CASE("layer_scores: counts are the reference's, alike in a layer, and their sum is exact") {
  CHECK(support::holds("layer_scores: counts are the reference's", 250, [] {
    auto const g = support::draw_views(*rc::gen::arbitrary<bool>());
    double const keep = *support::fractions(), radio_max = *rc::gen::element(1.0, 1.5, 2.0, 10.0);
    auto const p = support::plan_budget<layer_scores>(g, {.keep = keep, .radio_max = radio_max});
    std::vector<long> mean, base, past;
    bool fits = true;
    for (int v = 0; v < g.s.views(); ++v) {
      mean.push_back(static_cast<long>(g.tokens(v) * keep));
      base.push_back(mean.back() - g.forced_count(v));
      past.push_back(g.tokens(v) - g.forced_count(v));
      fits = fits && base.back() >= 0;
    }
    auto want = mean;
    if (fits) {
      long const all = std::accumulate(mean.begin(), mean.end(), 0L) * g.s.kv_heads;
      auto const counts = kvsieve::reference::over_all(g.rows_of(0, g.s.views()), all);
      std::vector<long> found;
      for (int v = 0; v < g.s.views(); ++v) {
        long sum = 0;
        for (int h = 0; h < g.s.kv_heads; ++h)
          sum += counts[static_cast<std::size_t>(v * g.s.kv_heads + h)] - g.forced_count(v);
        found.push_back(sum);
      }
      want = kvsieve::reference::layer_scores(found, base, past, radio_max);
      for (int v = 0; v < g.s.views(); ++v) want[static_cast<std::size_t>(v)] += g.forced_count(v);
      RC_ASSERT(std::accumulate(want.begin(), want.end(), 0L) == std::accumulate(mean.begin(), mean.end(), 0L));
    }
    for (int v = 0; v < g.s.views(); ++v)
      for (int h = 0; h < g.s.kv_heads; ++h) RC_ASSERT(p.plan.count(v, h) == want[static_cast<std::size_t>(v)]);
  }));
}

TEST_CASE("layer_scores: each sequence by itself") {
  support::scored_views g;
  g.s.kv_heads = 1;
  g.s.tokens = {4, 4, 4, 4};
  g.longest = 4;
  g.table = {9, 9, 9, 0, /**/ 8, 0, 0, 0, /**/ 7, 1, 1, 1, /**/ 2, 2, 2, 0};
  auto const counts = [&](layer_scores::params const& p) {
    return support::counts_of(support::plan_budget<layer_scores>(g, p).plan);
  };
  CHECK(counts({.keep = 0.5}) == std::vector{3, 1, 1, 3});
  CHECK(counts({.keep = 0.25}) == std::vector{3, 1, 0, 0});
  CHECK(counts({.keep = 0.25, .layers = 2}) == std::vector{2, 0, 1, 1});
  CHECK(counts({.keep = 0.25, .radio_max = 1}) == std::vector{1, 1, 1, 1});
}

TEST_CASE("layer_scores: numbers out of range are refused") {
  support::check_refused(support::state_of<layer_scores>({.radio_max = 0.5}), kvsieve::errc::bad_params,
                         {"budget.radio_max", "0.5", "1"});
  support::check_refused(support::state_of<layer_scores>({.layers = 2}), kvsieve::errc::bad_shape,
                         {"layers", "3", "2"});
}
