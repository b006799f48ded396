// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/layer_variance.hpp>
#include <kvsieve/reference/layer_scores.hpp>
#include <kvsieve/reference/layer_variance.hpp>

#include <catch2/catch_all.hpp>
#include <numeric>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::layer_variance;
}

TEST_CASE("layer_variance: layers whose heads differ less keep more") {
  support::scored_views g;
  g.s.kv_heads = 2;
  g.s.tokens = {4, 4};
  g.longest = 4;
  // Variances 1/3 and 1/3: D = 0. Then 0 and 1/3: D = 1/2.
  g.table = {0, 0, 1, 1, /**/ 1, 1, 0, 0, /**/ 1, 1, 1, 1, /**/ 0, 0, 1, 1};
  auto const counts = [&](layer_variance::params const& p) {
    return support::counts_of(support::plan_budget<layer_variance>(g, p).plan);
  };
  // exp(-1/2) = 0.607: 4 tokens as 2.49 and 1.51, 5 as 3.11 and 1.89, 7 as 4 (4.36) and 3.
  CHECK(counts({.keep = 0.5, .whole_first = 0, .whole_last = 0}) == std::vector{2, 2, 2, 2});
  CHECK(counts({.keep = 5.0 / 8, .whole_first = 0, .whole_last = 0}) == std::vector{3, 3, 2, 2});
  CHECK(counts({.keep = 7.0 / 8, .whole_first = 0, .whole_last = 0}) == std::vector{4, 4, 3, 3});
  CHECK(counts({.keep = 0.5, .whole_first = 1, .whole_last = 0}) == std::vector{4, 4, 2, 2});
  CHECK(counts({.keep = 0.5}) == std::vector{4, 4, 4, 4});
  CHECK(counts({.tokens = 1, .whole_first = 0, .whole_last = 1}) == std::vector{1, 1, 4, 4});
  int const inner[] = {4, 5};
  CHECK(counts({.keep = 5.0 / 8, .layers = 10, .layer = inner}) == std::vector{3, 3, 2, 2});
  CHECK(counts({.keep = 0.5, .whole_first = 0, .whole_last = 0, .layers = 1}) == std::vector{2, 2, 2, 2});
}

TEST_CASE("layer_variance: counts are the reference's shares, and their sum is exact") {
  CHECK(support::holds("layer_variance", 200, [] {
    auto g = support::draw_views();
    g.white_list.clear();
    g.ends = {0, 0};
    g.sink = g.recent = 0;
    for (float& x : g.table) x = std::isfinite(x) ? std::clamp(x, -100.0f, 100.0f) : 0.0f;
    double const keep = *support::fractions();
    auto const p = support::plan_budget<layer_variance>(g, {.keep = keep, .whole_first = 0, .whole_last = 0});
    std::vector<double> statistic;
    std::vector<long> most, least;
    long all = 0, sum = 0;
    for (int v = 0; v < g.s.views(); ++v) {
      std::vector<std::vector<double>> heads;
      for (int h = 0; h < g.s.kv_heads; ++h) heads.emplace_back(g.row(v, h), g.row(v, h) + g.tokens(v));
      statistic.push_back(kvsieve::reference::layer_variance(heads));
      all += g.tokens(v);
      most.push_back(g.tokens(v));
      least.push_back(g.tokens(v) / 100);
    }
    long const total = static_cast<long>(static_cast<double>(all) * keep);
    std::vector<long> weight;
    for (double const share : kvsieve::reference::softmax_of_minus(statistic))
      weight.push_back(std::lround(share * 0x1p30));
    auto const want = kvsieve::reference::apportion(total, weight, most, least);
    bool const short_of_least = std::accumulate(least.begin(), least.end(), 0L) > total;
    for (int v = 0; v < g.s.views(); ++v) {
      sum += p.plan.count(v, 0);
      for (int h = 1; h < g.s.kv_heads; ++h) RC_ASSERT(p.plan.count(v, h) == p.plan.count(v, 0));
      // Weights are rounded at another scale: a token may fall to another layer.
      if (!short_of_least) RC_ASSERT(std::abs(p.plan.count(v, 0) - want[static_cast<std::size_t>(v)]) <= 1);
    }
    RC_ASSERT(sum == total);
  }));
}

TEST_CASE("layer_variance: numbers out of range are refused") {
  auto const bad = kvsieve::errc::bad_params;
  support::check_refused(support::state_of<layer_variance>({.keep = 2}), bad, {"budget.keep", "2", "1"});
  support::check_refused(support::state_of<layer_variance>({.whole_first = -1}), bad,
                         {"budget.whole_first", "-1", "0"});
  support::check_refused(support::state_of<layer_variance>({.whole_last = -1}), bad, {"budget.whole_last", "-1", "0"});
  support::check_refused(support::state_of<layer_variance>({.layers = 2}), kvsieve::errc::bad_shape,
                         {"layers", "3", "2"});
}
