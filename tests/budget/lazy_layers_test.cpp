// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/lazy_layers.hpp>
#include <kvsieve/reference/lazy_layers.hpp>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::lazy_layers;
}

TEST_CASE("lazy_layers: a layer that looks at its ends keeps them, others everything") {
  CHECK(support::holds("lazy_layers", 300, [] {
    auto g = support::draw_views();
    for (float& x : g.table) x = std::isfinite(x) ? std::abs(x) : 0.0f;  // as probabilities are
    for (float& x : g.table) x = std::min(x, 1e6f);
    g.white_list.clear();
    g.sink = g.recent = g.ends.head = 0;  // the budget's own ends are what counts
    int const sink = *rc::gen::element(0, 1, 4), recent = *rc::gen::element(1, 5, 20);
    double const threshold = *support::fractions();
    auto const layers = support::make_layers<float, 64, false>(g.s, [](int) { return 1; });
    auto const p = support::make_plan<support::budgeted<lazy_layers>>(
        g.s.executor, layers,
        {.score = {.table = g.table.data(), .stride = g.longest, .ends = g.ends},
         .budget = {.threshold = threshold, .sink = sink, .recent = recent}});
    RC_ASSERT(static_cast<bool>(p.plan));
    RC_ASSERT(static_cast<bool>(p.plan.note));
    for (int v = 0; v < g.s.views(); ++v) {
      int const n = g.tokens(v), tail = std::min(g.ends.tail, n), past = n - tail;
      int const last = std::max(recent - g.ends.tail, g.ends.tail);
      std::vector<std::vector<double>> heads;
      for (int h = 0; h < g.s.kv_heads; ++h) heads.emplace_back(g.row(v, h), g.row(v, h) + past);
      bool const whole = threshold == 1 || n <= sink + recent + tail;
      bool const lazy = !whole && kvsieve::reference::lazy_layer(heads, sink, recent, threshold);
      std::vector<int> want;
      for (int t = 0; t < n; ++t)
        if (!lazy || t < sink || t >= n - last) want.push_back(t);
      for (int h = 0; h < g.s.kv_heads; ++h) {
        auto const kept = p.plan.kept(v, h);
        RC_ASSERT(std::vector<int>(kept.begin(), kept.end()) == want);
      }
    }
  }));
}

TEST_CASE("lazy_layers: numbers out of range are refused") {
  auto const bad = kvsieve::errc::bad_params;
  support::check_refused(support::state_of<lazy_layers>({.threshold = 1.5}), bad, {"budget.threshold", "1.5", "1"});
  support::check_refused(support::state_of<lazy_layers>({.sink = -1}), bad, {"budget.sink", "-1", "0"});
  support::check_refused(support::state_of<lazy_layers>({.recent = 0}), bad, {"budget.recent", "0", "1"});
}
