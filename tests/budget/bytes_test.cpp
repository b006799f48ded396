// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/bytes.hpp>
#include <kvsieve/reference/bytes.hpp>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::bytes;

std::vector<int> in_layers(std::vector<long> const& of, int heads) {
  std::vector<int> count;
  for (long const n : of) count.insert(count.end(), static_cast<std::size_t>(heads), static_cast<int>(n));
  return count;
}
}  // namespace

TEST_CASE("bytes: as many tokens as fit, longer views more of them") {
  support::scored_views g;
  g.s.kv_heads = 2;
  g.s.tokens = {10, 20, 30};
  g.longest = 30;
  g.table.assign(180, 0.0f);
  auto const counts = [&](bytes::params const& p) {
    return support::counts_of(support::plan_budget<bytes>(g, p).plan);
  };
  // The cache has rows of 64 floats: 512 bytes for key and value, 1024 for a token of both heads, 61440 in all.
  CHECK(counts({.bytes = 6 * 1024}) == in_layers({1, 2, 3}, 2));
  CHECK(counts({.bytes = 7 * 1024 - 1}) == in_layers({1, 2, 3}, 2));
  CHECK(counts({.bytes = 7 * 1024}) == in_layers({1, 2, 4}, 2));  // 1.17, 2.33, 3.5
  CHECK(counts({.bytes = 0}) == in_layers({0, 0, 0}, 2));
  CHECK(counts({.bytes = 1 << 30}) == in_layers({10, 20, 30}, 2));
  CHECK(counts({.keep = 0.5}) == in_layers({5, 10, 15}, 2));
  CHECK(counts({.bytes = 6 * 1024, .row_bytes = 256}) == in_layers({2, 4, 6}, 2));  // as if they were halves
}

TEST_CASE("bytes: counts are the reference's, and take at most the bytes") {
  CHECK(support::holds("bytes: counts are the reference's", 150, [] {
    auto const g = support::draw_views();
    long all = 0;
    for (int const n : g.s.tokens) all += n;
    long const size = all * g.s.kv_heads * 512;
    long const given = *rc::gen::resize(100, rc::gen::inRange(0L, size + 5000));
    auto const p = support::plan_budget<bytes>(g, {.bytes = given});
    std::vector<long> const tokens(g.s.tokens.begin(), g.s.tokens.end());
    RC_ASSERT(support::counts_of(p.plan) ==
              in_layers(kvsieve::reference::bytes(given, 512, g.s.kv_heads, tokens), g.s.kv_heads));
    long used = 0;
    for (int const n : support::counts_of(p.plan)) used += n * 512L;
    RC_ASSERT(used <= given);
    RC_ASSERT(used == size || given - used < 512L * g.s.kv_heads);
  }));
}

TEST_CASE("bytes: the size of a row is that of the elements") {
  support::shape s;
  s.kv_heads = 3;
  s.tokens = {20, 20};
  auto const halves = support::make_layers<kvsieve::f16, 80, false>(s, [](int) { return 1; });
  std::vector<float> const table(120);
  auto const p = support::make_plan<support::budgeted<bytes>>(
      0, halves, {.score = {.table = table.data(), .stride = 20}, .budget = {.bytes = 3 * 320 * 9}});
  CHECK(support::counts_of(p.plan) == in_layers({5, 4}, 3));
}

TEST_CASE("bytes: numbers out of range are refused, and scores that no cache is behind") {
  auto const bad = kvsieve::errc::bad_params;
  support::check_refused(support::state_of<bytes>({.bytes = -2}), bad, {"budget.bytes", "-2", "-1"});
  support::check_refused(support::state_of<bytes>({.keep = 1.5}), bad, {"budget.keep", "1.5", "1"});
  support::check_refused(support::state_of<bytes>({.row_bytes = -1}), bad, {"budget.row_bytes", "-1", "0"});
  support::check_refused(bytes::params{.bytes = 10}.check({1, 1, 64}), bad, {"budget.row_bytes", "0", "1"});
  CHECK(bytes::params{.bytes = 10, .row_bytes = 8}.check({1, 1, 64}));
}
