// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// score_tokens() and choose_tokens() one after the other are plan().
#include <kvsieve/reference/row.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;

// Scores and chooses with workspaces of exactly the size asked for, then holds the outcome against plan()'s.
template <class C, class Layer>
void same_as_plan(int executor, std::vector<Layer> const& layers, typename C::params const& params) {
  auto const whole = support::make_plan<C>(executor, layers, params);
  RC_ASSERT(static_cast<bool>(whole.plan));
  std::vector<decltype(layers[0].const_view())> views;
  std::vector<decltype(layers[0].queries.view())> queries;
  for (auto const& l : layers) {
    views.push_back(l.const_view());
    queries.push_back(l.queries.view());
  }
  cs::span<typename decltype(views)::value_type const> const all(views.data(), views.size());
  cs::span<typename decltype(queries)::value_type const> const observed(queries.data(), queries.size());
  support::with_executor(executor, [&](auto const& on) {
    auto const with_views = [&](auto const& f) {
      if constexpr (C::observes_queries)
        return f(all, observed);
      else
        return f(all);
    };
    support::workspace first(with_views([&](auto... v) { return score_tokens_workspace_bytes<C>(on, v..., params); }));
    token_scores const scores = with_views([&](auto... v) { return score_tokens<C>(on, v..., params, first.span()); });
    RC_ASSERT(static_cast<bool>(scores));
    RC_ASSERT(first.guards_hold());
    using budget = typename C::budget_policy;
    using selection = typename C::select_policy;
    for (int repeat = 0; repeat < 2; ++repeat) {  // scores are as good as before after a choice
      support::workspace second(
          choose_tokens_workspace_bytes<budget, selection>(on, scores, params.budget, params.select));
      token_plan const plan = choose_tokens<budget, selection>(on, scores, params.budget, params.select, second.span());
      RC_ASSERT(static_cast<bool>(plan));
      RC_ASSERT(second.guards_hold());
      RC_ASSERT(plan.views == whole.plan.views);
      RC_ASSERT(plan.heads == whole.plan.heads);
      for (int v = 0; v < plan.views; ++v)
        for (int h = 0; h < plan.heads; ++h) {
          auto const mine = plan.kept(v, h), theirs = whole.plan.kept(v, h);
          RC_ASSERT(std::equal(mine.begin(), mine.end(), theirs.begin(), theirs.end()));
          auto const a = plan.scores(v, h), b = whole.plan.scores(v, h);
          for (std::size_t t = 0; t < a.size(); ++t) RC_ASSERT(a[t] == b[t] || (std::isnan(a[t]) && std::isnan(b[t])));
        }
    }
    return 0;
  });
}
}  // namespace

TEST_CASE("choose: over score's scores it gives what plan gives") {
  CHECK(support::holds("choose: over score's scores it gives what plan gives", 40, [] {
    auto const s = *support::shapes(20, 600);
    double const keep = *support::fractions();
    auto const layers = support::make_layers<float, 64, false>(s, [](int n) { return n < 16 ? n : 16; });
    switch (*rc::gen::resize(100, rc::gen::inRange(0, 7))) {
      case 0:
        return same_as_plan<key_diff<>>(s.executor, layers, {.budget = {.keep = keep}, .select = {.sink = 3}});
      case 1:
        return same_as_plan<snap_kv<>>(s.executor, layers, {.score = {.window = 8}, .budget = {.keep = keep}});
      case 2:
        return same_as_plan<tova<>>(s.executor, layers, {.budget = {.keep = keep}});
      case 3:
        return same_as_plan<lag_kv_streaming<>>(s.executor, layers,
                                                {.score = {.sink = 2, .lag = 9}, .budget = {.keep = keep}});
      case 4:
        return same_as_plan<critical_kv_by_norm<>>(
            s.executor, layers,
            {.score = {.window = 8}, .budget = {.keep = keep}, .select = {.first = 0.3, .sink = 2}});
      case 5:
        return same_as_plan<corm<>>(s.executor, layers,
                                    {.score = {.window = 8}, .select = {.threshold = 3, .recent = 10}});
      default:
        return same_as_plan<streaming_llm<>>(s.executor, layers, {.budget = {.keep = keep}});
    }
  }));
}

TEST_CASE("two stages see SnapKV's scores, and beside them the same times the norm of the value") {
  support::shape s;
  s.kv_heads = 2;
  s.group = 2;
  s.tokens = {300};
  auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 16; });
  auto const view = layers[0].const_view();
  auto const queries = layers[0].queries.view();
  host::on const on;
  auto const score = [&]<class C>(C, support::workspace& memory) {
    cs::span const views(&view, 1);
    cs::span const observed(&queries, 1);
    typename C::params const p{.score = {.window = 16}};
    memory = support::workspace(score_tokens_workspace_bytes<C>(on, views, observed, p));
    auto const scores = score_tokens<C>(on, views, observed, p, memory.span());
    REQUIRE(scores);
    CHECK(memory.guards_hold());
    return scores;
  };
  support::workspace first(0), second(0);
  token_scores const plain = score(snap_kv<>{}, first), both = score(critical_kv_by_norm<>{}, second);
  CHECK(plain.weighed == nullptr);
  REQUIRE(both.weighed != nullptr);
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 300 - 16; ++t) {
      auto const i = static_cast<std::size_t>(t);
      CHECK(both.scores(0, h)[i] == plain.scores(0, h)[i]);
      double squares = 0;
      for (int d = 0; d < 64; ++d) {
        auto const x = reference::element_at(view.values, h, t, d);
        squares += x * x;
      }
      auto const at = static_cast<std::size_t>(h * score_stride(300) + t);
      double const want = static_cast<double>(plain.scores(0, h)[i]) * std::sqrt(squares);
      CHECK(std::abs(static_cast<double>(both.weighed[at]) - want) <= 1e-5 * want);
    }
}

TEST_CASE("choose refuses what it cannot do, and says so") {
  host::on const on;
  token_scores none;
  none.state = fail(errc::bad_shape, "layers", 0, "must be at least", 1);
  CHECK(choose_tokens_workspace_bytes<budget::uniform, select::top_k>(on, none, {}, {}) == 0);
  support::workspace memory(256);
  support::check_refused(choose_tokens<budget::uniform, select::top_k>(on, none, {}, {}, memory.span()).state,
                         errc::bad_shape, {"layers is 0"});
  CHECK(memory.untouched());

  float row[16] = {};
  kvsieve::index const offset = 0;
  scored_view const seen{10, {}, {}};
  token_scores const ten{{}, {1, 1, 64}, &seen, row, &offset};
  auto const refused = [&](budget::uniform::params const& b, select::top_k::params const& s, errc code,
                           std::vector<std::string> const& parts) {
    support::check_refused(choose_tokens<budget::uniform, select::top_k>(on, ten, b, s, memory.span()).state, code,
                           parts);
    CHECK(memory.untouched());
  };
  refused({.keep = 2}, {}, errc::bad_params, {"budget.keep is 2", "at most 1"});
  refused({}, {.sink = -1}, errc::bad_params, {"select.sink is -1", "at least 0"});
  int const far[] = {3, 10};
  refused({}, {.white_list = far}, errc::bad_params, {"select.white_list is 10", "10"});
  refused({}, {}, errc::workspace_too_small, {"workspace is 256"});
}
