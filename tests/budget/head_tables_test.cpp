// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/head_importance.hpp>
#include <kvsieve/budget/head_shares.hpp>
#include <kvsieve/budget/retrieval_heads.hpp>
#include <kvsieve/reference/head_importance.hpp>
#include <kvsieve/reference/head_shares.hpp>
#include <kvsieve/reference/retrieval_heads.hpp>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::head_importance;
using kvsieve::budget::head_shares;
using kvsieve::budget::retrieval_heads;

// [layers, heads] numbers, equal ones among them.
std::vector<double> draw_table(int layers, int heads) {
  std::vector<double> table;
  for (int i = 0; i < layers * heads; ++i) table.push_back(*support::fractions());
  return table;
}
}  // namespace

TEST_CASE("head_shares: the largest fractions get what is left") {
  double const keep[] = {0.25, 0.35, 0.15, 0.0, 0.0, 1.0};
  auto const count = [&](int view, int head, int least = 0) {
    return head_shares::count({.keep = keep, .least = least},
                              {.tokens = 10, .view = view, .views = 2, .head = head, .heads = 3});
  };
  // 2.5, 3.5, 1.5: 7.5 rounds to 8, two more than the floors; equal fractions, so the lower heads have them.
  CHECK(count(0, 0) == 3);
  CHECK(count(0, 1) == 4);
  CHECK(count(0, 2) == 1);
  CHECK(count(1, 0) == 0);
  CHECK(count(1, 0, 1) == 1);
  CHECK(count(1, 2, 1) == 10);
}

TEST_CASE("head_shares: which of LU-KV's tables") {
  // kvpress: round(100 * dropped share) - 1, from 0 to 98.
  CHECK(head_shares::table_of(0.75) == 24);
  CHECK(head_shares::table_of(0.5) == 49);
  CHECK(head_shares::table_of(1) == 0);
  CHECK(head_shares::table_of(0) == 98);
}

TEST_CASE("head_shares: plans keep the reference's counts") {
  CHECK(support::holds("head_shares: plans keep the reference's counts", 80, [] {
    auto const g = support::draw_views();
    auto const table = draw_table(g.s.views(), g.s.kv_heads);
    int const least = *rc::gen::element(0, 1, 5);
    auto const p = support::plan_budget<head_shares>(g, {.keep = {table.data(), table.size()}, .least = least});
    for (int v = 0; v < g.s.views(); ++v) {
      auto const first = table.begin() + v * g.s.kv_heads;
      auto const want =
          kvsieve::reference::head_shares(std::vector<double>(first, first + g.s.kv_heads), least, g.tokens(v));
      for (int h = 0; h < g.s.kv_heads; ++h) RC_ASSERT(p.plan.count(v, h) == want[static_cast<std::size_t>(h)]);
    }
  }));
}

TEST_CASE("head_importance: HeadKV's counts") {
  // cap 100: 99 tokens a head go into the pool, 4 heads; importances 0.1, 0.2, 0.3 and 0.4.
  double const importance[] = {1, 2, 3, 4};
  head_importance::params const p{.tokens = 100, .window = 8, .importance = importance};
  int const want[] = {49, 88, 128, 167};  // 8 + 1 + 39.6, 79.2, 118.8, 158.4
  for (int i = 0; i < 4; ++i)
    CHECK(head_importance::count(p, {.tokens = 1000, .view = i / 2, .views = 2, .head = i % 2, .heads = 2}) == want[i]);
  CHECK(head_importance::count(p, {.tokens = 130, .view = 1, .views = 2, .head = 1, .heads = 2}) == 130);
  CHECK(head_importance::count(p, {.tokens = 90, .view = 0, .views = 2, .head = 0, .heads = 2}) == 90);
}

TEST_CASE("head_importance: counts are the reference's") {
  CHECK(support::holds("head_importance: counts are the reference's", 500, [] {
    using rc::gen::inRange, rc::gen::resize;
    int const layers = *resize(100, inRange(1, 6)), heads = *resize(100, inRange(1, 9));
    auto table = draw_table(layers, heads);
    table[0] += 0.5;
    int const tokens = *resize(100, inRange(1, 3000)), cap = *resize(100, inRange(0, 3000));
    int const window = *resize(100, rc::gen::element(0, 8, 32));
    double const beta = *resize(100, rc::gen::element(1.0, 1.01, 1.2, 2.0));
    auto const want = kvsieve::reference::head_importance(table, cap, beta, window, tokens);
    for (int v = 0; v < layers; ++v)
      for (int h = 0; h < heads; ++h)
        RC_ASSERT(head_importance::count(
                      {.tokens = cap, .beta = beta, .window = window, .importance = {table.data(), table.size()}},
                      {.tokens = tokens, .view = v, .views = layers, .head = h, .heads = heads}) ==
                  want[static_cast<std::size_t>(v * heads + h)]);
  }));
}

TEST_CASE("retrieval_heads: plans keep all of a head or its ends") {
  CHECK(support::holds("retrieval_heads: plans keep all of a head or its ends", 80, [] {
    auto const g = support::draw_views();
    auto const table = draw_table(g.s.views(), g.s.kv_heads);
    double const share = *support::fractions();
    int const recent = *rc::gen::resize(100, rc::gen::inRange(0, 60));
    auto const p = support::plan_budget<retrieval_heads>(
        g, {.score = {table.data(), table.size()}, .streaming = share, .sink = 3, .recent = recent});
    auto const streams = kvsieve::reference::streaming_heads(table, share);
    for (int v = 0; v < g.s.views(); ++v)
      for (int h = 0; h < g.s.kv_heads; ++h)
        RC_ASSERT(p.plan.count(v, h) == (streams[static_cast<std::size_t>(v * g.s.kv_heads + h)]
                                             ? std::min(3 + recent, g.tokens(v))
                                             : g.tokens(v)));
  }));
}

TEST_CASE("duo_attention: a streaming head keeps the first tokens and the newest") {
  support::shape s;
  s.kv_heads = 2;
  s.tokens = {40};
  auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 1; });
  double const score[] = {0.1, 0.9};
  auto const p =
      support::make_plan<kvsieve::duo_attention<>>(0, layers, {.budget = {.score = score, .sink = 4, .recent = 3}});
  REQUIRE(p.plan);
  auto const kept = p.plan.kept(0, 0);
  CHECK(std::vector<int>(kept.begin(), kept.end()) == std::vector{0, 1, 2, 3, 37, 38, 39});
  CHECK(p.plan.count(0, 1) == 40);
}

TEST_CASE("tables of heads: what does not fit is refused") {
  using support::check_refused, support::state_of;
  auto const bad = kvsieve::errc::bad_params, shape = kvsieve::errc::bad_shape;
  std::vector<double> table(9, 0.5);
  kvsieve::cs::span<double const> const whole(table.data(), 9), cut(table.data(), 8), six(table.data(), 6);
  int const layer[] = {0, 1, 3};
  CHECK(state_of<head_shares>({.keep = whole}));
  check_refused(state_of<head_shares>({}), shape, {"budget.keep", "0", "3"});
  check_refused(state_of<head_shares>({.keep = cut}), shape, {"budget.keep", "8", "multiple of the heads", "3"});
  check_refused(state_of<head_shares>({.keep = six}), shape, {"budget.keep", "6", "9"});
  check_refused(state_of<head_shares>({.keep = whole, .layer = layer}), bad, {"budget.layer", "3", "2"});
  check_refused(state_of<head_shares>({.keep = whole, .least = -1}), bad, {"budget.least", "-1", "0"});
  check_refused(state_of<retrieval_heads>({.score = whole, .streaming = 2}), bad, {"budget.streaming", "2", "1"});
  check_refused(state_of<retrieval_heads>({.score = whole, .recent = -4}), bad, {"budget.recent", "-4", "0"});
  check_refused(state_of<head_importance>({.beta = 0.9, .importance = whole}), bad, {"budget.beta", "0.9", "1"});
  table.assign(9, 0);
  check_refused(state_of<head_importance>({.importance = whole}), bad, {"sum of budget.importance", "0"});
  table[4] = 1.5;
  check_refused(state_of<head_shares>({.keep = whole}), bad, {"budget.keep", "1.5", "1"});
  table[4] = NAN;
  check_refused(state_of<retrieval_heads>({.score = whole}), bad, {"budget.score"});
  check_refused(state_of<head_importance>({.importance = whole}), bad, {"budget.importance"});
}
