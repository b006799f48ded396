// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/over_heads.hpp>
#include <kvsieve/budget/over_heads_mixed.hpp>
#include <kvsieve/reference/over_heads.hpp>
#include <kvsieve/reference/over_heads_mixed.hpp>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::over_heads;
using kvsieve::budget::over_heads_mixed;

support::scored_views three_heads() {
  support::scored_views g;
  g.s.kv_heads = 3;
  g.s.tokens = {10};
  g.longest = 10;
  for (int h = 0; h < 3; ++h)
    for (int t = 0; t < 10; ++t) g.table.push_back(static_cast<float>(100 * (2 - h) + t));
  return g;
}
}  // namespace

TEST_CASE("over_heads: a floor for each head, one ranking for the rest") {
  auto g = three_heads();
  auto const counts = [&](over_heads::params const& p) {
    return support::counts_of(support::plan_budget<over_heads>(g, p).plan);
  };
  CHECK(counts({.tokens = 5}) == std::vector{10, 4, 1});  // int(5 * 0.2) = 1
  CHECK(counts({.tokens = 5, .safeguard = 0}) == std::vector{10, 5, 0});
  CHECK(counts({.tokens = 5, .safeguard = 1}) == std::vector{5, 5, 5});  // uniform
  CHECK(counts({.tokens = 5, .safeguard = 0.6}) == std::vector{9, 3, 3});
  CHECK(counts({.tokens = 3, .safeguard = 0.34}) == std::vector{7, 1, 1});
  CHECK(counts({.tokens = 0}) == std::vector{0, 0, 0});
  CHECK(counts({.keep = 1}) == std::vector{10, 10, 10});
  g.recent = 2;  // among the floor
  CHECK(counts({.tokens = 5, .safeguard = 0.6}) == std::vector{9, 3, 3});
  CHECK(counts({.tokens = 5}) == std::vector{10, 3, 2});
  g.recent = 6;  // more than the mean
  CHECK(counts({.tokens = 5}) == std::vector{5, 5, 5});
}

TEST_CASE("over_heads: counts are the reference's, and a layer keeps heads times the mean") {
  CHECK(support::holds("over_heads: counts are the reference's", 250, [] {
    auto const g = support::draw_views();
    double const keep = *support::fractions(), safeguard = *support::fractions();
    int const limit = *rc::gen::resize(100, rc::gen::oneOf(rc::gen::just(-1), rc::gen::inRange(0, 500)));
    auto const p = support::plan_budget<over_heads>(g, {.keep = keep, .tokens = limit, .safeguard = safeguard});
    for (int v = 0; v < g.s.views(); ++v) {
      int const mean = limit >= 0 ? std::min(limit, g.tokens(v)) : static_cast<int>(g.tokens(v) * keep);
      auto const want = kvsieve::reference::over_heads(g.rows_of(v, v + 1), mean, safeguard);
      int sum = 0;
      for (int h = 0; h < g.s.kv_heads; ++h) {
        RC_ASSERT(p.plan.count(v, h) == want[static_cast<std::size_t>(h)]);
        RC_ASSERT(p.plan.count(v, h) >= static_cast<int>(mean * safeguard));
        sum += p.plan.count(v, h);
      }
      RC_ASSERT(sum == g.s.kv_heads * mean);
    }
  }));
}

TEST_CASE("over_heads_mixed: an equal part and a ranked part") {
  auto g = three_heads();
  auto const counts = [&](over_heads_mixed::params const& p) {
    return support::counts_of(support::plan_budget<over_heads_mixed>(g, p).plan);
  };
  // 10, 5 and 0 of the best 15; mixed 9, 5, 1.
  CHECK(counts({.tokens = 5}) == std::vector{9, 5, 1});
  CHECK(counts({.tokens = 5, .as_source = true}) == std::vector{9, 5, 1});
  CHECK(counts({.tokens = 5, .floor = 1}) == std::vector{5, 5, 5});
  CHECK(counts({.tokens = 5, .floor = 0}) == std::vector{10, 5, 0});
  // 9, 0 and 0 of the best 9: 8.1, 0.9, 0 and floors of 0.3 each. Exact: 7.8, 0.6, 0.6.
  CHECK(counts({.tokens = 3, .floor = 0.2}) == std::vector{8, 1, 0});
  // The source's floor int(3 * 0.2) is 0, and 9 * 0.8 rounds to 7: two tokens are lost.
  CHECK(counts({.tokens = 3, .floor = 0.2, .as_source = true}) == std::vector{7, 0, 0});
  g.recent = 2;
  CHECK(counts({.tokens = 5, .floor = 0}) == std::vector{10, 3, 2});
  g.recent = 5;
  CHECK(counts({.tokens = 5}) == std::vector{5, 5, 5});
}

TEST_CASE("over_heads_mixed: counts are the reference's") {
  CHECK(support::holds("over_heads_mixed: counts are the reference's", 250, [] {
    auto const g = support::draw_views();
    double const keep = *support::fractions(), floor = *support::fractions();
    bool const as_source = *rc::gen::arbitrary<bool>();
    auto const p = support::plan_budget<over_heads_mixed>(g, {.keep = keep, .floor = floor, .as_source = as_source});
    for (int v = 0; v < g.s.views(); ++v) {
      int const mean = static_cast<int>(g.tokens(v) * keep);
      auto const want = kvsieve::reference::over_heads_mixed(g.rows_of(v, v + 1), mean, floor, as_source);
      int sum = 0;
      for (int h = 0; h < g.s.kv_heads; ++h) {
        RC_ASSERT(p.plan.count(v, h) == want[static_cast<std::size_t>(h)]);
        sum += p.plan.count(v, h);
      }
      if (!as_source) RC_ASSERT(sum == g.s.kv_heads * mean);
    }
  }));
}

TEST_CASE("over_heads: numbers out of range are refused") {
  using support::check_refused, support::state_of;
  auto const bad = kvsieve::errc::bad_params;
  check_refused(state_of<over_heads>({.keep = 2}), bad, {"budget.keep", "2", "1"});
  check_refused(state_of<over_heads>({.safeguard = 1.25}), bad, {"budget.safeguard", "1.25", "1"});
  check_refused(state_of<over_heads>({.safeguard = NAN}), bad, {"budget.safeguard"});
  check_refused(state_of<over_heads_mixed>({.floor = -1}), bad, {"budget.floor", "-1", "0"});
}
