// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans over scores of the test's own, to see what a budget makes of them.
#pragma once
#include <set>

#include <kvsieve/kvsieve.hpp>
#include <kvsieve/reference/over_all.hpp>

#include "planned.hpp"
#include "scores.hpp"
#include "scripted.hpp"

namespace support {

/// Written scores, a budget and the storage that takes any.
template <class Budget>
using budgeted = kvsieve::compressor<scripted, Budget, kvsieve::store::ragged>;

/// Views with scores of a kind, the scorer's own ends and what selection forces.
struct scored_views {
  shape s;
  int longest = 0;
  std::vector<float> table;
  kvsieve::forced_ends ends;
  int sink = 0, recent = 0;
  std::vector<int> white_list;

  [[nodiscard]] float const* row(int v, int h) const { return table.data() + (v * s.kv_heads + h) * longest; }
  [[nodiscard]] int tokens(int v) const { return s.tokens[static_cast<std::size_t>(v)]; }
  [[nodiscard]] kvsieve::reference::forced_tokens forced() const {
    return {std::max(sink, ends.head), std::max(recent, ends.tail), white_list};
  }
  [[nodiscard]] kvsieve::reference::ranked_row ranked(int v, int h) const {
    kvsieve::reference::ranked_row r;
    for (int t = 0; t < tokens(v); ++t) {
      r.score.push_back(static_cast<double>(row(v, h)[t]));
      r.stays.push_back(kvsieve::reference::reason_of(t, tokens(v), forced()) != kvsieve::reference::reason::score);
    }
    return r;
  }
  [[nodiscard]] std::vector<kvsieve::reference::ranked_row> rows_of(int first, int last) const {
    std::vector<kvsieve::reference::ranked_row> rows;
    for (int v = first; v < last; ++v)
      for (int h = 0; h < s.kv_heads; ++h) rows.push_back(ranked(v, h));
    return rows;
  }
  [[nodiscard]] int forced_count(int v) const {
    auto const r = ranked(v, 0);
    return static_cast<int>(std::count(r.stays.begin(), r.stays.end(), true));
  }
};

/// Draws them; `equal` gives all views the length of the first.
inline scored_views draw_views(bool equal = false, int most_tokens = 400) {
  using rc::gen::inRange, rc::gen::resize;
  scored_views g;
  g.s = *shapes(1, most_tokens);
  if (equal) std::fill(g.s.tokens.begin(), g.s.tokens.end(), g.s.tokens[0]);
  g.longest = *std::max_element(g.s.tokens.begin(), g.s.tokens.end());
  std::mt19937 random(g.s.seed);
  g.table = draw_scores(random, *resize(100, inRange(0, score_kinds)),
                        static_cast<std::size_t>(g.s.views() * g.s.kv_heads * g.longest));
  // Heads that differ in scale, as real ones do: floors and limits come into play.
  if (*rc::gen::arbitrary<bool>())
    for (int r = 0; r < g.s.views() * g.s.kv_heads; ++r)
      for (int t = 0; t < g.longest; ++t)
        g.table[static_cast<std::size_t>(r * g.longest + t)] *= static_cast<float>(1 + r * r);
  int const shortest = g.s.shortest();
  auto const few = rc::gen::weightedOneOf<int>({{3, rc::gen::just(0)}, {1, resize(100, inRange(0, 9))}});
  g.ends = {*few, *few};
  g.sink = *few;
  g.recent = *few;
  if (*resize(100, inRange(0, 4)) == 0) {
    auto const listed = *resize(8, rc::gen::container<std::set<int>>(resize(100, inRange(0, shortest))));
    g.white_list.assign(listed.begin(), listed.end());
  }
  return g;
}

/// A plan with the budget's numbers; every head keeps what the reference's selection keeps with the head's own count.
template <class Budget>
planned plan_budget(scored_views const& g, typename Budget::params const& budget) {
  auto const layers = make_layers<float, 64, false>(g.s, [](int) { return 1; });
  auto p = make_plan<budgeted<Budget>>(
      g.s.executor, layers,
      {.score = {.table = g.table.data(), .stride = g.longest, .ends = g.ends},
       .budget = budget,
       .select = {.sink = g.sink, .recent = g.recent, .white_list = {g.white_list.data(), g.white_list.size()}}});
  RC_ASSERT(static_cast<bool>(p.plan));
  RC_ASSERT(p.memory.guards_hold());
  for (int v = 0; v < g.s.views(); ++v)
    for (int h = 0; h < g.s.kv_heads; ++h) {
      auto const want = kvsieve::reference::top_k(g.ranked(v, h).score, p.plan.count(v, h), g.forced());
      auto const kept = p.plan.kept(v, h);
      RC_ASSERT(std::vector<int>(kept.begin(), kept.end()) == want);
    }
  return p;
}

/// Counts of all heads of all views.
inline std::vector<int> counts_of(kvsieve::token_plan const& plan) {
  std::vector<int> count;
  for (int v = 0; v < plan.views; ++v)
    for (int h = 0; h < plan.heads; ++h) count.push_back(plan.count(v, h));
  return count;
}

/// What plan() says of numbers that it should refuse: `views` views of 3 heads and 20 tokens.
template <class Budget>
kvsieve::status state_of(typename Budget::params const& budget, int views = 3) {
  shape s;
  s.kv_heads = 3;
  s.tokens.assign(static_cast<std::size_t>(views), 20);
  std::vector<float> const table(static_cast<std::size_t>(views * 3 * 20));
  auto const layers = make_layers<float, 64, false>(s, [](int) { return 1; });
  return make_plan<budgeted<Budget>>(0, layers, {.score = {.table = table.data(), .stride = 20}, .budget = budget})
      .plan.state;
}
}  // namespace support
