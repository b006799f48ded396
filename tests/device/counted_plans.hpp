// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Plans of written scores, by the host and on emulated blocks: the same counts, lists and notes.
#pragma once
#include "emulated_plan.hpp"

#include <kvsieve/budget/layer_variance.hpp>
#include <kvsieve/host/run.hpp>

#include "budgets.hpp"

namespace kvsieve_test {
/// Everything that two plans of the same scores say.
inline void same_plan(kvs::token_plan const& got, kvs::token_plan const& want) {
  RC_ASSERT(got.views == want.views);
  RC_ASSERT(got.heads == want.heads);
  RC_ASSERT(got.uniformity_class == want.uniformity_class);
  RC_ASSERT(static_cast<bool>(got.note) == static_cast<bool>(want.note));
  RC_ASSERT(got.note.got == want.note.got);
  RC_ASSERT(got.note.expected == want.note.expected);
  RC_ASSERT(got.note.layer == want.note.layer);
  for (int v = 0; v < want.views; ++v) {
    RC_ASSERT(got.tokens(v) == want.tokens(v));
    for (int h = 0; h < want.heads; ++h) {
      RC_ASSERT(got.count(v, h) == want.count(v, h));
      RC_ASSERT(kept(got, v, h) == kept(want, v, h));
      auto const a = got.scores(v, h), b = want.scores(v, h);
      for (std::size_t t = 0; t < a.size(); ++t) RC_ASSERT(a[t] == b[t] || (std::isnan(a[t]) && std::isnan(b[t])));
    }
  }
}

/// False where a shortage of forced tokens follows from the scores, so that the device does not note it.
template <class C>
constexpr bool notes_all = !kvs::measures_rows<typename C::budget_policy> ||
                           (std::is_same_v<typename C::select_policy, kvs::select::top_k> &&
                            !std::is_same_v<typename C::budget_policy, kvs::budget::layer_variance>);

/// Plans written scores by both.
template <class C, int Threads>
void both_plan(support::scored_views const& g, typename C::params p) {
  p.score = {.table = g.table.data(), .stride = g.longest, .ends = g.ends};
  auto const layers = support::make_layers<float, 64, false>(g.s, [](int) { return 1; });
  std::vector<decltype(layers[0].const_view())> views;
  for (auto const& l : layers) views.push_back(l.const_view());
  auto const want = support::make_plan<C>(0, layers, p);
  RC_ASSERT(static_cast<bool>(want.plan));
  auto const made = emulated_plan<C, Threads>(views, p);
  kvs::token_plan const got = on_host(made.plan);
  if (p.select.white_list.empty() && notes_all<C>) {
    same_plan(got, want.plan);
  } else {  // the device's note leaves a white list out
    kvs::token_plan quiet = want.plan, noted = got;
    quiet.note = noted.note = {};
    same_plan(noted, quiet);
  }
  if constexpr (std::is_same_v<kvs::device::plan_of<C>, kvs::device::open_plan>) {
    RC_ASSERT(got.offset[got.views * got.heads] <= made.plan.rows);
    for (int v = 0; v < got.views; ++v) RC_ASSERT(got.count(v) <= made.plan.most(v));
  } else {
    for (int i = 0; i <= got.views * got.heads; ++i) RC_ASSERT(got.device_offset[i] == got.offset[i]);
  }
}
/// Selection's numbers as the views have them.
inline kvs::select::top_k::params selected(support::scored_views const& g) {
  return {.sink = g.sink, .recent = g.recent, .white_list = {g.white_list.data(), g.white_list.size()}};
}
inline kvs::select::heavy_hitters::params halves(support::scored_views const& g) {
  return {.sink = g.sink, .recent_share = 0.4, .white_list = {g.white_list.data(), g.white_list.size()}};
}
template <class Budget>
using hitters = kvs::compressor<support::scripted, Budget, kvs::store::ragged, kvs::select::heavy_hitters>;

template <class Budget>
void both_select(support::scored_views const& g, typename Budget::params const& b) {
  switch (*rc::gen::resize(100, rc::gen::inRange(0, 4))) {
    case 0:
      return both_plan<support::budgeted<Budget>, 32>(g, {.budget = b, .select = selected(g)});
    case 1:
      return both_plan<support::budgeted<Budget>, 128>(g, {.budget = b, .select = selected(g)});
    case 2:
      return both_plan<hitters<Budget>, 64>(g, {.budget = b, .select = halves(g)});
    default:
      return both_plan<support::budgeted<Budget>, 64>(g, {.budget = b, .select = selected(g)});
  }
}
inline int drawn_limit() { return *rc::gen::resize(100, rc::gen::oneOf(rc::gen::just(-1), rc::gen::inRange(0, 300))); }
inline constexpr int rounds = race_check ? 3 : 80;
}  // namespace kvsieve_test
