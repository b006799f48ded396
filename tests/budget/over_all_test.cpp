// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/reference/over_all.hpp>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::over_all;
}

TEST_CASE("over_all: the best of all views and heads stay") {
  support::scored_views g;
  g.s.kv_heads = 2;
  g.s.tokens = {4, 4};
  g.longest = 4;
  g.table = {9, 1, 1, 1, /**/ 8, 7, 1, 0, /**/ 6, 6, 6, 6, /**/ 0, 0, 0, 0};
  CHECK(support::counts_of(support::plan_budget<over_all>(g, {.keep = 0.5}).plan) == std::vector{2, 2, 4, 0});  // a tie
  CHECK(support::counts_of(support::plan_budget<over_all>(g, {.keep = 0}).plan) == std::vector{0, 0, 0, 0});
  CHECK(support::counts_of(support::plan_budget<over_all>(g, {.keep = 1}).plan) == std::vector{4, 4, 4, 4});
  CHECK(support::counts_of(support::plan_budget<over_all>(g, {.tokens = 1}).plan) == std::vector{1, 2, 1, 0});
  // Each view a sequence of its own.
  CHECK(support::counts_of(support::plan_budget<over_all>(g, {.keep = 0.5, .layers = 1}).plan) ==
        std::vector{2, 2, 4, 0});
  CHECK(support::counts_of(support::plan_budget<over_all>(g, {.tokens = 1, .layers = 1}).plan) ==
        std::vector{1, 1, 2, 0});
  // A forced token in every head, too few for that, and the note that says so.
  g.recent = 1;
  CHECK(support::counts_of(support::plan_budget<over_all>(g, {.tokens = 2}).plan) == std::vector{2, 3, 2, 1});
  g.recent = 2;
  auto const p = support::plan_budget<over_all>(g, {.keep = 7.0 / 16});
  CHECK(support::counts_of(p.plan) == std::vector{2, 2, 2, 1});
  CHECK(!p.plan.note);
}

TEST_CASE("over_all: counts are the reference's") {
  CHECK(support::holds("over_all: counts are the reference's", 200, [] {
    auto const g = support::draw_views();
    double const keep = *support::fractions();
    int const limit = *rc::gen::resize(100, rc::gen::oneOf(rc::gen::just(-1), rc::gen::inRange(0, 500)));
    bool const apart = *rc::gen::arbitrary<bool>(), drop = *rc::gen::arbitrary<bool>();
    auto const p =
        support::plan_budget<over_all>(g, {.keep = keep, .tokens = limit, .layers = apart ? 1 : 0, .as_source = drop});
    auto const got = support::counts_of(p.plan);
    int const step = apart ? 1 : g.s.views();
    for (int first = 0; first < g.s.views(); first += step) {
      std::vector<int> const tokens(g.s.tokens.begin() + first, g.s.tokens.begin() + first + step);
      auto const begin = got.begin() + first * g.s.kv_heads;
      long const total = kvsieve::reference::over_all_total(keep, limit, tokens, g.s.kv_heads);
      auto const want = kvsieve::reference::over_all(g.rows_of(first, first + step), total, drop);
      RC_ASSERT(std::vector<int>(begin, begin + step * g.s.kv_heads) == want);
    }
  }));
}

TEST_CASE("over_all: bytes of rows, and the source's way with ties") {
  support::scored_views g;
  g.s.kv_heads = 2;
  g.s.tokens = {4, 4};
  g.longest = 4;
  g.table = {9, 1, 1, 1, /**/ 8, 7, 1, 0, /**/ 6, 6, 6, 6, /**/ 0, 0, 0, 0};
  auto const counts = [&](over_all::params const& p) {
    return support::counts_of(support::plan_budget<over_all>(g, p).plan);
  };
  // Rows of 64 floats, key and value: 512 bytes.
  CHECK(counts({.bytes = 4 * 512}) == std::vector{1, 2, 1, 0});
  CHECK(counts({.bytes = 4 * 512 - 1}) == std::vector{1, 2, 0, 0});
  CHECK(counts({.bytes = 4 * 512, .row_bytes = 256}) == std::vector{2, 2, 4, 0});
  CHECK(counts({.bytes = 1 << 30}) == std::vector{4, 4, 4, 4});
  // The eighth best is a 1, as are three others; the seventh a 6.
  CHECK(counts({.keep = 0.5, .as_source = true}) == std::vector{1, 2, 4, 0});
  CHECK(counts({.keep = 7.0 / 16, .as_source = true}) == std::vector{1, 2, 0, 0});
  CHECK(counts({.keep = 1.0 / 16, .as_source = true}) == std::vector{0, 0, 0, 0});
  CHECK(counts({.keep = 1, .as_source = true}) == std::vector{4, 4, 4, 4});
  support::check_refused(over_all::params{.bytes = 1}.check({1, 1, 64}), kvsieve::errc::bad_params,
                         {"budget.row_bytes", "0", "1"});
  support::check_refused(support::state_of<over_all>({.bytes = -5}), kvsieve::errc::bad_params,
                         {"budget.bytes", "-5", "-1"});
}

TEST_CASE("over_all: numbers out of range are refused") {
  support::check_refused(support::state_of<over_all>({.keep = -0.1}), kvsieve::errc::bad_params, {"budget.keep", "0"});
  support::check_refused(support::state_of<over_all>({.tokens = -2}), kvsieve::errc::bad_params,
                         {"budget.tokens", "-2", "-1"});
  support::check_refused(support::state_of<over_all>({.layers = 2}), kvsieve::errc::bad_shape,
                         {"layers", "3", "multiple of budget.layers", "2"});
}
