// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers that arrive one by one: what is held, and that it ends where the rule over all layers ends.
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/host/cascade.hpp>

#include <catch2/catch_all.hpp>
#include <numeric>
#include <type_traits>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
using long_count = cs::int64_t;

static_assert(std::is_trivially_copyable_v<host::cascade<budget::entropy_variance>>);
static_assert(std::is_trivially_copyable_v<host::cascade<budget::layer_scores>>);

/// Scores of one layer, two heads.
struct arriving {
  std::vector<float> row;
  scored_view seen;
  long_count offset = 0;
  std::vector<double> measure;
  token_scores scores;
  arriving(std::mt19937& random, int kind, int tokens, int window, double entropy, double variance)
      : row(support::draw_scores(random, kind, static_cast<std::size_t>(2 * score_stride(tokens)))),
        seen{tokens, {0, window}, {}},
        measure{entropy, variance} {}
  token_scores const& view() {
    scores.shape = {1, 2, 64};
    scores.seen = &seen;
    scores.score = row.data();
    scores.score_offset = &offset;
    scores.statistics = {measure.data(), 2};
    return scores;
  }
};

/// What is left of each layer as token indices, [layer][head].
using kept_tokens = std::vector<std::vector<std::vector<int>>>;

/// Applies a plan to the lists, as a caller applies it to the caches.
void apply_to(kept_tokens& left, token_plan const& plan, int tokens) {
  std::vector<int> all(static_cast<std::size_t>(tokens));
  std::iota(all.begin(), all.end(), 0);
  left.push_back({all, all});
  for (int v = 0; v < plan.views; ++v)
    for (int h = 0; h < plan.heads; ++h) {
      auto& list = left[static_cast<std::size_t>(v)][static_cast<std::size_t>(h)];
      RC_ASSERT(plan.tokens(v) == static_cast<int>(list.size()));
      std::vector<int> next;
      for (int const row : plan.kept(v, h)) next.push_back(list[static_cast<std::size_t>(row)]);
      list = next;
    }
}

/// Runs all layers through a cascade; `held(layer, sum)` looks at what all layers hold after each.
template <class Budget, class Held>
kept_tokens run(int executor, typename Budget::params const& p, std::vector<arriving>& layers, int tokens,
                Held const& held) {
  kept_tokens left;
  support::with_executor(executor, [&](auto const& on) {
    support::workspace state(host::cascade<Budget>::state_bytes(p, {}, 2, tokens));
    host::cascade<Budget> c(p, {}, 2, tokens, state.span());
    RC_ASSERT(static_cast<bool>(c.state()));
    for (auto& l : layers) {
      support::workspace memory(c.workspace_bytes(on));
      token_plan const plan = c.add(on, l.view(), memory.span());
      RC_ASSERT(static_cast<bool>(plan));
      RC_ASSERT(memory.guards_hold());
      RC_ASSERT(state.guards_hold());
      apply_to(left, plan, tokens);
      long_count sum = 0;
      for (int v = 0; v < c.layers(); ++v) {
        RC_ASSERT(c.tokens(v) == static_cast<int>(left[static_cast<std::size_t>(v)][0].size()));
        sum += c.tokens(v);
      }
      RC_ASSERT(sum <= c.most_held());
      held(c.layers(), sum);
    }
    return 0;
  });
  return left;
}

/// The same budget over all layers at once.
template <class Budget>
kept_tokens at_once(typename Budget::params p, std::vector<arriving> const& layers) {
  std::vector<float> row;
  std::vector<scored_view> seen;
  std::vector<long_count> offset;
  std::vector<double> measure;
  for (auto const& l : layers) {
    offset.push_back(static_cast<long_count>(row.size()));
    row.insert(row.end(), l.row.begin(), l.row.end());
    seen.push_back(l.seen);
    measure.insert(measure.end(), l.measure.begin(), l.measure.end());
  }
  token_scores all;
  all.shape = {static_cast<int>(layers.size()), 2, 64};
  all.seen = seen.data();
  all.score = row.data();
  all.score_offset = offset.data();
  all.statistics = {measure.data(), 2};
  host::on const on;
  p.layers = 0;
  support::workspace memory(choose_tokens_workspace_bytes<Budget, select::top_k>(on, all, p, {}));
  auto const plan = choose_tokens<Budget, select::top_k>(on, all, p, {}, memory.span());
  RC_ASSERT(static_cast<bool>(plan));
  kept_tokens left;
  for (int v = 0; v < plan.views; ++v) {
    left.emplace_back();
    for (int h = 0; h < 2; ++h) {
      auto const kept = plan.kept(v, h);
      left.back().emplace_back(kept.begin(), kept.end());
    }
  }
  return left;
}

std::vector<arriving> draw_layers(int count, int tokens, int window) {
  std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
  std::vector<arriving> layers;
  for (int l = 0; l < count; ++l)
    layers.emplace_back(random, *rc::gen::element(0, 2, 4, 5), tokens, window, 100 * *support::fractions() + 1,
                        *support::fractions() + 0.01);
  return layers;
}
}  // namespace

TEST_CASE("cascade: CAKE's layers hold the budget and no more, and end as if all had come at once") {
  CHECK(support::holds("cascade: entropy_variance", 120, [] {
    using rc::gen::inRange, rc::gen::resize;
    int const count = *resize(100, inRange(1, 9)), tokens = *resize(100, inRange(1, 200));
    int const cap = *resize(100, inRange(0, 210)), window = std::min({tokens, *rc::gen::element(0, 1, 16), cap});
    auto layers = draw_layers(count, tokens, window);
    budget::entropy_variance::params const p{
        .tokens = cap, .tau1 = *rc::gen::element(1.0, 1.6), .tau2 = *rc::gen::element(0.4, 1.0), .layers = count};
    bool shrinks = true;
    kept_tokens const left =
        run<budget::entropy_variance>(*resize(100, inRange(0, 3)), p, layers, tokens, [&](int known, long_count sum) {
          // Whole sequences aside: the budget, or all there is as long as it is less.
          if (tokens > cap + window) RC_ASSERT(sum <= std::min(long_count{cap} * count, long_count{tokens} * known));
        });
    kept_tokens const whole = at_once<budget::entropy_variance>(p, layers);
    // Where the rule over all layers gives a layer more than a stage had left it, it stays short of that.
    for (std::size_t v = 0; v < left.size(); ++v) shrinks = shrinks && left[v][0].size() == whole[v][0].size();
    for (std::size_t v = 0; v < left.size(); ++v) {
      RC_ASSERT(left[v][0].size() <= whole[v][0].size());
      for (int h = 0; h < 2; ++h)
        if (shrinks) RC_ASSERT(left[v][static_cast<std::size_t>(h)] == whole[v][static_cast<std::size_t>(h)]);
    }
  }));
}

TEST_CASE("cascade: DynamicKV's stages bound what is held, and the last one spends the budget") {
  CHECK(support::holds("cascade: layer_scores", 120, [] {
    using rc::gen::inRange, rc::gen::resize;
    int const count = *resize(100, inRange(1, 12)), tokens = *resize(100, inRange(1, 200));
    int const window = std::min(tokens, *rc::gen::element(0, 1, 8)),
              cap = std::min(tokens, *resize(100, inRange(0, 90)));
    int const stage = *rc::gen::element(1, 3, 4);
    double const most = *rc::gen::element(1.0, 2.0, 5.0);
    auto layers = draw_layers(count, tokens, window);
    budget::layer_scores::params const p{.tokens = cap, .radio_max = most, .layers = count, .stage = stage};
    long_count const waiting = std::min(
        long_count{tokens}, std::max(long_count{cap}, window + static_cast<long_count>(most * (cap - window))));
    long_count last = 0;
    kept_tokens const left =
        run<budget::layer_scores>(*resize(100, inRange(0, 3)), p, layers, tokens, [&](int known, long_count sum) {
          last = sum;
          if (cap >= window) RC_ASSERT(sum <= long_count{cap} * count + (stage - 1) * waiting);
          if (cap >= window && (known % stage == 0 || known == count)) RC_ASSERT(sum <= long_count{cap} * count);
        });
    // All is spent at the end, unless an earlier stage left less than the last one would give.
    RC_ASSERT(last <= long_count{cap} * count);
    if (stage >= count) {
      RC_ASSERT(last == long_count{cap} * count);
      if (most > 4) return;
    }
    for (auto const& layer : left) RC_ASSERT(layer[0].size() == layer[1].size());
  }));
}

TEST_CASE("cascade: without a stage before the last, DynamicKV ends as if all had come at once") {
  std::mt19937 random(5);
  std::vector<arriving> layers;
  for (int l = 0; l < 4; ++l) layers.emplace_back(random, 0, 100, 10, 1.0, 1.0);
  // 30 a head in each layer beside the window; no layer may keep more than 90, which is all it has.
  budget::layer_scores::params const p{.tokens = 40, .radio_max = 3, .layers = 4};
  auto const left = run<budget::layer_scores>(0, p, layers, 100, [](int, long_count) {});
  CHECK(left == at_once<budget::layer_scores>(p, layers));
}

TEST_CASE("cascade: keys and values that the caller compacts are those of the tokens that stay") {
  support::shape s;
  s.kv_heads = 2;
  s.tokens = {120, 120, 120, 120};
  s.seed = 11;
  auto layers = support::make_layers<float, 64, false>(s, [](int) { return 16; });
  auto const whole = support::make_layers<float, 64, false>(s, [](int) { return 16; });
  cake<>::params params{.score = {.window = 16}};
  params.budget = {.tokens = 40};
  auto in_cascade = params.budget;
  in_cascade.layers = 4;
  host::team team{2};
  host::on const on{team};
  support::workspace state(host::cascade<budget::entropy_variance>::state_bytes(in_cascade, {}, 2, 120));
  host::cascade<budget::entropy_variance> c(in_cascade, {}, 2, 120, state.span());
  REQUIRE(c.state());
  std::vector<decltype(layers[0].view())> views;
  kept_tokens left;
  for (auto& l : layers) {
    auto const queries = l.queries.view();
    views.push_back(l.view());
    cs::span<std::remove_reference_t<decltype(views[0])> const> const newest(&views.back(), 1);
    cs::span<std::remove_cv_t<decltype(queries)> const> const observed(&queries, 1);
    support::workspace scoring(score_tokens_workspace_bytes<cake<>>(on, newest, observed, params));
    auto const scores = score_tokens<cake<>>(on, newest, observed, params, scoring.span());
    REQUIRE(scores);
    support::workspace memory(c.workspace_bytes(on));
    auto const plan = c.add(on, scores, memory.span());
    REQUIRE(plan);
    apply_to(left, plan, 120);
    cs::span<std::remove_reference_t<decltype(views[0])> const> const all(views.data(), views.size());
    REQUIRE(apply<cake<>>(on, plan, all));
    for (std::size_t v = 0; v < views.size(); ++v) {
      auto const shorter = [&](auto const& rows) {
        return make_rows<64>(rows.data_handle(), 2, plan.count(static_cast<int>(v)), rows.stride(0), rows.stride(1));
      };
      views[v] = {shorter(views[v].keys), shorter(views[v].values)};
    }
  }
  int sum = 0, differing = 0;
  for (std::size_t v = 0; v < 4; ++v) {
    sum += c.tokens(static_cast<int>(v));
    for (int h = 0; h < 2; ++h)
      for (std::size_t i = 0; i < left[v][0].size(); ++i)
        for (int d = 0; d < 64; ++d) {
          int const token = left[v][static_cast<std::size_t>(h)][i], row = static_cast<int>(i);
          differing += layers[v].keys.get(h, row, d) != whole[v].keys.get(h, token, d);
          differing += layers[v].values.get(h, row, d) != whole[v].values.get(h, token, d);
        }
  }
  CHECK(differing == 0);
  CHECK(sum <= 4 * 40);
  CHECK(sum > 4 * 40 - 4);
}

TEST_CASE("cascade: what it cannot take is refused, and then nothing has changed") {
  using cascade = host::cascade<budget::entropy_variance>;
  auto const bad = errc::bad_params;
  host::on const on;
  auto const state_of = [](cascade::budget_params const& b, cascade::select_params const& s, int heads, int tokens) {
    support::workspace none(0);
    CHECK(cascade::state_bytes(b, s, heads, tokens) == 0);
    return cascade(b, s, heads, tokens, none.span()).state();
  };
  support::check_refused(state_of({}, {}, 2, 100), bad, {"budget.layers", "0", "1"});
  support::check_refused(state_of({.tau1 = 0, .layers = 3}, {}, 2, 100), bad, {"budget.tau1", "0"});
  support::check_refused(state_of({.layers = 3}, {}, 0, 100), bad, {"heads", "0", "1"});
  support::check_refused(state_of({.layers = 3}, {}, 2, 0), bad, {"tokens", "0", "1"});
  int const listed[] = {3};
  support::check_refused(state_of({.layers = 3}, {.white_list = listed}, 2, 100), bad, {"select.white_list", "1", "0"});
  cascade::budget_params const p{.tokens = 40, .layers = 1};
  support::workspace little(64);
  support::check_refused(cascade(p, {}, 2, 100, little.span()).state(), errc::workspace_too_small, {"64"});
  CHECK(little.untouched());

  support::workspace state(cascade::state_bytes(p, {}, 2, 100));
  cascade c(p, {}, 2, 100, state.span());
  REQUIRE(c.state());
  std::mt19937 random(1);
  arriving layer(random, 0, 100, 10, 1, 1), other(random, 0, 90, 10, 1, 1), unmeasured(random, 0, 100, 10, 1, 1);
  support::workspace memory(c.workspace_bytes(on));
  support::check_refused(c.add(on, other.view(), memory.span()).state, errc::bad_shape, {"scores.tokens", "90", "100"});

  // Forced tokens stay whatever the budget is; the state has room for those of one layer, not of all.
  cascade::budget_params const none{.tokens = 0, .layers = 8};
  arriving forced(random, 0, 100, 100, 1, 1);
  support::workspace small(cascade::state_bytes(none, {}, 2, 100));
  cascade full(none, {}, 2, 100, small.span());
  support::workspace first(full.workspace_bytes(on));
  CHECK(full.add(on, forced.view(), first.span()));
  support::workspace second(full.workspace_bytes(on));
  support::check_refused(full.add(on, forced.view(), second.span()).state, bad, {"forced tokens", "336", "232"});
  CHECK(full.layers() == 1);
  CHECK(small.guards_hold());

  auto scores = unmeasured.view();
  scores.statistics = {};
  support::check_refused(c.add(on, scores, memory.span()).state, bad, {"scores.statistics", "0", "2"});
  scores = layer.view();
  scores.shape.heads = 1;
  support::check_refused(c.add(on, scores, memory.span()).state, errc::bad_shape, {"scores.heads", "1", "2"});
  support::check_refused(c.add(on, layer.view(), little.span()).state, errc::workspace_too_small, {"64"});
  CHECK(memory.untouched());
  CHECK(c.layers() == 0);
  REQUIRE(c.add(on, layer.view(), memory.span()));
  CHECK(c.layers() == 1);
  CHECK(c.tokens(0) == 40);
  CHECK(c.workspace_bytes(on) == 0);
  support::check_refused(c.add(on, layer.view(), memory.span()).state, errc::bad_shape, {"layers", "2", "1"});
}
