// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Budgets that look at scores count the same on any number of workers.
#include <kvsieve/budget/composite.hpp>
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/budget/layer_variance.hpp>
#include <kvsieve/budget/lazy_layers.hpp>
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/budget/over_heads.hpp>
#include <kvsieve/budget/uncertainty.hpp>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"

namespace {
using namespace kvsieve;

/// Three views of up to 20000 tokens and three heads, with ties.
struct large_views {
  std::vector<float> row;
  std::vector<scored_view> seen;
  std::vector<kvsieve::index> offset;
  std::vector<double> measure{100, 1, 300, 2, 200, 0.5};
  token_scores scores;
  large_views() {
    std::mt19937 random(3);
    for (int const n : {20000, 7001, 15000}) {
      offset.push_back(static_cast<kvsieve::index>(row.size()));
      seen.push_back({n, {0, 32}, {}});
      for (int h = 0; h < 3; ++h) {
        auto const own = support::draw_scores(random, h == 1 ? 5 : 0, static_cast<std::size_t>(score_stride(n)));
        row.insert(row.end(), own.begin(), own.end());
      }
    }
    scores.shape = {3, 3, 64, 512};
    scores.seen = seen.data();
    scores.score = row.data();
    scores.score_offset = offset.data();
    scores.statistics = {measure.data(), 2};
  }
  template <class Budget>
  void check(typename Budget::params const& p) const {
    std::vector<int> first;
    for (int workers = 1; workers <= 8; ++workers) {
      host::team team{workers};
      host::on const on{team};
      support::workspace memory(choose_tokens_workspace_bytes<Budget, select::top_k>(on, scores, p, {.sink = 4}));
      auto const plan = choose_tokens<Budget, select::top_k>(on, scores, p, {.sink = 4}, memory.span());
      REQUIRE(plan);
      CHECK(memory.guards_hold());
      auto const count = support::counts_of(plan);
      if (workers == 1) first = count;
      CHECK(count == first);
    }
  }
};
}  // namespace

TEST_CASE("budgets over scores: the same counts for 1 to 8 workers") {
  large_views const g;
  g.check<budget::over_heads>({});
  g.check<budget::over_all>({.bytes = 3000000});
  g.check<budget::layer_scores>({});
  g.check<budget::layer_variance>({.whole_first = 0, .whole_last = 0});
  g.check<budget::lazy_layers>({.threshold = 0.5});
  g.check<budget::composite>({});
  g.check<budget::uncertainty>({});
  g.check<budget::entropy_variance>({});
}
