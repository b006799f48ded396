// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/pyramid.hpp>
#include <kvsieve/budget/pyramid_floor.hpp>
#include <kvsieve/reference/pyramid.hpp>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::pyramid;
using kvsieve::budget::pyramid_floor;
}  // namespace

TEST_CASE("pyramid: kvpress's formula") {
  // 768 tokens, a quarter kept, beta 5, window 32, 30 layers: 345.6 - 10.59 l, from 345.6 to 38.4.
  int const layers[] = {0, 9, 21, 29};
  pyramid::params const p{.beta = 5, .window = 32, .layers = 30, .layer = layers};
  int const want[] = {346, 250, 123, 38};
  for (int v = 0; v < 4; ++v) CHECK(pyramid::count(p, {.tokens = 768, .view = v, .views = 4}) == want[v]);

  // Flat: the last layer would keep fewer than the window (192 / 20 < 32); one layer; and half to even.
  CHECK(pyramid::count({.window = 32, .layers = 30}, {.tokens = 768, .view = 3, .views = 4}) == 192);
  CHECK(pyramid::count({.beta = 5, .window = 32}, {.tokens = 768, .view = 0, .views = 1}) == 192);
  CHECK(pyramid::count({.window = 64}, {.tokens = 10}) == 2);  // 2.5
  CHECK(pyramid::count({.window = 64}, {.tokens = 14}) == 4);  // 3.5
  // All before the window: the first layer keeps 100 - 10, the last 2 * 60 - 90.
  pyramid::params const wide{.keep = 0.6, .beta = 20, .window = 10, .layers = 2};
  CHECK(pyramid::count(wide, {.tokens = 100, .view = 0, .views = 2}) == 90);
  CHECK(pyramid::count(wide, {.tokens = 100, .view = 1, .views = 2}) == 30);
  // Everything kept: most would be below least, so flat.
  CHECK(pyramid::count({.keep = 1, .window = 10, .layers = 2}, {.tokens = 100, .view = 1, .views = 2}) == 100);
}

TEST_CASE("pyramid: counts are the reference's") {
  CHECK(support::holds("pyramid: counts are the reference's", 3000, [] {
    using rc::gen::inRange, rc::gen::resize;
    int const tokens = *resize(100, inRange(1, 5000)), layers = *resize(100, inRange(1, 90));
    int const window = *resize(100, rc::gen::element(0, 8, 32, 64, 300)), view = *resize(100, inRange(0, layers));
    int const limit = *resize(100, rc::gen::oneOf(rc::gen::just(-1), inRange(0, 6000)));
    double const keep = *support::fractions(), beta = *resize(100, inRange(2, 50)) / 2.0;
    double const mean = limit >= 0 ? std::min(limit, tokens) : tokens * keep;
    int const count = pyramid::count({.keep = keep, .tokens = limit, .beta = beta, .window = window},
                                     {.tokens = tokens, .view = view, .views = layers});
    RC_ASSERT(count == kvsieve::reference::pyramid(mean, beta, window, layers, view, tokens));
    RC_ASSERT(count >= 0);
    RC_ASSERT(count <= tokens);
  }));
}

TEST_CASE("pyramid_floor: KVCache-Factory's formula") {
  // cap 180, window 16, beta 4: base 164, from 287 down to 41 in steps of 123.
  pyramid_floor::params const p{.tokens = 180, .beta = 4, .window = 16};
  int const want[] = {303, 180, 57};
  for (int v = 0; v < 3; ++v) CHECK(pyramid_floor::count(p, {.tokens = 768, .view = v, .views = 3}) == want[v]);
  CHECK(pyramid_floor::count(p, {.tokens = 179, .view = 2, .views = 3}) == 179);  // fewer than cap: whole
  CHECK(pyramid_floor::count(p, {.tokens = 327, .view = 2, .views = 3}) == 180);  // fewer than 2 base: flat
  CHECK(pyramid_floor::count(p, {.tokens = 180, .view = 0, .views = 3}) == 180);
  // 330 tokens: 314 before the window at most, the last layer 2 * 164 - 314 = 14, steps of 150.
  CHECK(pyramid_floor::count(p, {.tokens = 330, .view = 0, .views = 3}) == 303);
  CHECK(pyramid_floor::count(p, {.tokens = 300, .view = 0, .views = 1}) == 180);
  CHECK(pyramid_floor::count({.tokens = 10, .window = 16}, {.tokens = 100, .view = 1, .views = 3}) == 10);
}

TEST_CASE("pyramid_floor: counts are the reference's, and average to cap") {
  CHECK(support::holds("pyramid_floor: counts are the reference's", 3000, [] {
    using rc::gen::inRange, rc::gen::resize;
    int const tokens = *resize(100, inRange(1, 5000)), layers = *resize(100, inRange(1, 90));
    int const cap = *resize(100, inRange(0, 5200)), beta = *resize(100, inRange(1, 40));
    int const window = *resize(100, rc::gen::element(0, 8, 32, 64, 300));
    long sum = 0;
    for (int view = 0; view < layers; ++view) {
      int const count = pyramid_floor::count({.tokens = cap, .beta = beta, .window = window},
                                             {.tokens = tokens, .view = view, .views = layers});
      RC_ASSERT(count == kvsieve::reference::pyramid_floor(cap, beta, window, layers, view, tokens));
      RC_ASSERT(count >= 0);
      RC_ASSERT(count <= tokens);
      sum += count;
    }
    // A step is cut by less than one, which adds up to less than (layers - 1) / 2 a layer.
    if (tokens > cap) RC_ASSERT(sum >= long{cap} * layers);
    if (tokens > cap) RC_ASSERT(2 * sum <= 2L * cap * layers + long{layers} * (layers - 1));
  }));
}

TEST_CASE("pyramid: plans keep its counts") {
  CHECK(support::holds("pyramid: plans keep its counts", 60, [] {
    auto const g = support::draw_views();
    pyramid::params const p{.keep = 0.5, .beta = 3, .window = 2};
    auto const made = support::plan_budget<pyramid>(g, p);
    for (int v = 0; v < g.s.views(); ++v)
      for (int h = 0; h < g.s.kv_heads; ++h)
        RC_ASSERT(made.plan.count(v, h) ==
                  kvsieve::reference::pyramid(g.tokens(v) * 0.5, 3, 2, g.s.views(), v, g.tokens(v)));
  }));
}

TEST_CASE("pyramid: numbers out of range are refused") {
  using support::check_refused, support::state_of;
  auto const bad = kvsieve::errc::bad_params;
  int const past[] = {0, 1, 30}, few[] = {0, 1};
  check_refused(state_of<pyramid>({.keep = 1.5}), bad, {"budget.keep", "1.5", "at most", "1"});
  check_refused(state_of<pyramid>({.keep = NAN}), bad, {"budget.keep"});
  check_refused(state_of<pyramid>({.beta = 0.5}), bad, {"budget.beta", "0.5", "1"});
  check_refused(state_of<pyramid>({.window = -1}), bad, {"budget.window", "-1", "0"});
  check_refused(state_of<pyramid>({.layers = -3}), bad, {"budget.layers", "-3", "0"});
  check_refused(state_of<pyramid>({.layers = 30, .layer = past}), bad, {"budget.layer", "30", "at most", "29"});
  check_refused(state_of<pyramid>({.layers = 30, .layer = few}), kvsieve::errc::bad_shape, {"budget.layer", "2", "3"});
  check_refused(state_of<pyramid_floor>({.tokens = -2}), bad, {"budget.tokens", "-2", "-1"});
  check_refused(state_of<pyramid_floor>({.beta = 0}), bad, {"budget.beta", "0", "1"});
}
