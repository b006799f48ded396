// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/uniform.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"

TEST_CASE("uniform: floor(tokens * keep) in double, not corrected") {
  // 100 * 0.29 is just below 29 and 10 * 0.1 is 1: the products decide.
  struct {
    int tokens;
    double keep;
    int count;
  } const cases[] = {{100, 0.29, 28},  {10, 0.1, 1}, {10, 1 - 0.9, 0}, {10, 1 - 0.8, 1}, {100, 1 - 0.9, 9},
                     {768, 0.25, 192}, {7, 1.0, 7},  {7, 0.0, 0},      {1, 0.999, 0}};
  for (auto const& c : cases) {
    CAPTURE(c.tokens, c.keep);
    CHECK(kvsieve::budget::uniform::count({.keep = c.keep}, {.tokens = c.tokens}) == c.count);
    CHECK(kvsieve::reference::uniform(c.keep, -1, c.tokens) == c.count);
  }
}

TEST_CASE("uniform: counts are the reference's") {
  CHECK(support::holds("uniform: counts are the reference's", 2000, [] {
    int const tokens = *rc::gen::resize(100, rc::gen::inRange(1, 100000));
    double const keep = *support::fractions();
    int const limit = *rc::gen::resize(100, rc::gen::oneOf(rc::gen::just(-1), rc::gen::inRange(0, 100001)));
    int const count = kvsieve::budget::uniform::count({.keep = keep, .tokens = limit}, {.tokens = tokens});
    RC_ASSERT(count == kvsieve::reference::uniform(keep, limit, tokens));
    RC_ASSERT(count >= 0);
    RC_ASSERT(count <= tokens);
  }));
}

TEST_CASE("uniform: every head of a plan keeps the count of its view") {
  CHECK(support::holds("uniform: every head of a plan keeps the count of its view", 60, [] {
    auto const s = *support::shapes(1, 1000);
    double const keep = *support::fractions();
    int const limit = *rc::gen::resize(100, rc::gen::oneOf(rc::gen::just(-1), rc::gen::inRange(0, 1200)));
    auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 1; });
    auto const p =
        support::make_plan<kvsieve::key_norm<>>(s.executor, layers, {.budget = {.keep = keep, .tokens = limit}});
    RC_ASSERT(static_cast<bool>(p.plan));
    for (int v = 0; v < s.views(); ++v)
      for (int h = 0; h < s.kv_heads; ++h)
        RC_ASSERT(p.plan.count(v, h) ==
                  kvsieve::reference::uniform(keep, limit, s.tokens[static_cast<std::size_t>(v)]));
  }));
}
