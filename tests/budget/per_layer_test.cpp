// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/arithmetic.hpp>
#include <kvsieve/budget/per_layer.hpp>
#include <kvsieve/reference/arithmetic.hpp>
#include <kvsieve/reference/uniform.hpp>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::arithmetic;
using kvsieve::budget::per_layer;
}  // namespace

TEST_CASE("per_layer: every head of a layer keeps what the list says") {
  CHECK(support::holds("per_layer: every head of a layer keeps what the list says", 60, [] {
    auto const g = support::draw_views();
    std::vector<double> keep;
    std::vector<int> tokens, layer;
    for (int l = 0; l < 5; ++l) {
      keep.push_back(*support::fractions());
      tokens.push_back(*rc::gen::resize(100, rc::gen::inRange(0, 500)));
    }
    for (int v = 0; v < g.s.views(); ++v) layer.push_back(*rc::gen::resize(100, rc::gen::inRange(0, 5)));
    bool const counted = *rc::gen::arbitrary<bool>();
    per_layer::params p{.layer = {layer.data(), layer.size()}};
    if (counted)
      p.tokens = {tokens.data(), tokens.size()};
    else
      p.keep = {keep.data(), keep.size()};
    auto const made = support::plan_budget<per_layer>(g, p);
    for (int v = 0; v < g.s.views(); ++v)
      for (int h = 0; h < g.s.kv_heads; ++h) {
        auto const l = static_cast<std::size_t>(layer[static_cast<std::size_t>(v)]);
        RC_ASSERT(made.plan.count(v, h) == kvsieve::reference::uniform(keep[l], counted ? tokens[l] : -1, g.tokens(v)));
      }
  }));
}

TEST_CASE("per_layer: lists that do not fit are refused") {
  using support::check_refused, support::state_of;
  auto const bad = kvsieve::errc::bad_params;
  double const keep[] = {0.5, 1.5, 0}, two[] = {0.5, 0.5};
  int const tokens[] = {3, -1, 0}, layer[] = {0, 2, 1};
  check_refused(state_of<per_layer>({}), bad, {"budget.keep or budget.tokens", "0", "at least", "1"});
  check_refused(state_of<per_layer>({.keep = keep}), bad, {"budget.keep", "1.5", "1"});
  check_refused(state_of<per_layer>({.tokens = tokens}), bad, {"budget.tokens", "-1", "0"});
  check_refused(state_of<per_layer>({.keep = keep, .tokens = tokens}), bad, {"budget.keep", "must be empty"});
  check_refused(state_of<per_layer>({.keep = two}), kvsieve::errc::bad_shape, {"2", "entries", "3"});
  check_refused(state_of<per_layer>({.keep = two, .layer = layer}), bad, {"budget.layer", "2", "at most", "1"});
}

TEST_CASE("arithmetic: WindowKV's progression") {
  int const want[] = {2926, 2341, 1756, 1170};  // cap 2048, beta 14, 32 layers of groups of 8
  for (int l = 0; l < 32; ++l)
    CHECK(arithmetic::count({.tokens = 2048}, {.tokens = 100000, .view = l, .views = 32}) == want[l / 8]);
  CHECK(arithmetic::count({.tokens = 2048}, {.tokens = 2000, .view = 0, .views = 32}) == 2000);
  CHECK(arithmetic::count({.tokens = 2048}, {.tokens = 100000, .view = 7, .views = 8}) == 2048);  // one group
  CHECK(arithmetic::count({.keep = 0.5, .beta = 4, .group = 2}, {.tokens = 100, .view = 3, .views = 4}) == 25);
  CHECK(arithmetic::count({.keep = 0.5, .beta = 4, .group = 2}, {.tokens = 100, .view = 0, .views = 4}) == 75);
}

TEST_CASE("arithmetic: counts are the reference's") {
  CHECK(support::holds("arithmetic: counts are the reference's", 1500, [] {
    using rc::gen::inRange, rc::gen::resize;
    int const tokens = *resize(100, inRange(1, 5000)), layers = *resize(100, inRange(1, 90));
    int const cap = *resize(100, inRange(0, 5200)), group = *resize(100, inRange(1, 20));
    int const beta = *resize(100, inRange((group + 1) / 2, 60));
    auto const want = kvsieve::reference::arithmetic(cap, beta, group, layers, tokens);
    for (int v = 0; v < layers; ++v)
      RC_ASSERT(arithmetic::count({.tokens = cap, .beta = beta, .group = group},
                                  {.tokens = tokens, .view = v, .views = layers}) == want[static_cast<std::size_t>(v)]);
  }));
}

TEST_CASE("arithmetic: numbers out of range are refused") {
  using support::check_refused, support::state_of;
  auto const bad = kvsieve::errc::bad_params;
  check_refused(state_of<arithmetic>({.group = 0}), bad, {"budget.group", "0", "1"});
  check_refused(state_of<arithmetic>({.beta = 3, .group = 8}), bad, {"budget.beta", "3", "at least", "4"});
  check_refused(state_of<arithmetic>({.keep = NAN}), bad, {"budget.keep"});
}
