// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// CAKE's budgets: what the aggregate policy measures of a layer, and what becomes of it.
#include <kvsieve/aggregate/mean_variance_entropy.hpp>
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/reference/entropy_variance.hpp>
#include <kvsieve/reference/preference.hpp>

#include <catch2/catch_all.hpp>

#include "attention_reference.hpp"
#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;
using budget::entropy_variance;
using measured_window = snap_kv<aggregate::mean_variance_entropy>;

/// Scores of nothing but their measures: `views` views of two heads.
struct measured_views {
  std::vector<float> row;
  std::vector<scored_view> seen;
  std::vector<kvsieve::index> offset;
  std::vector<double> measure;
  token_scores scores;

  measured_views(int tokens, int window, std::vector<double> spread)
      : row(static_cast<std::size_t>(2 * score_stride(tokens)), 0.0f),
        seen(spread.size() / 2, scored_view{tokens, {0, window}, {}}),
        offset(spread.size() / 2, 0),
        measure(std::move(spread)) {
    scores.shape = {static_cast<int>(seen.size()), 2, 64};
    scores.seen = seen.data();
    scores.score = row.data();
    scores.score_offset = offset.data();
    scores.statistics = {measure.data(), 2};
  }
  [[nodiscard]] std::vector<int> counts(entropy_variance::params const& p) const {
    host::on const on;
    support::workspace memory(choose_tokens_workspace_bytes<entropy_variance, select::top_k>(on, scores, p, {}));
    auto const plan = choose_tokens<entropy_variance, select::top_k>(on, scores, p, {}, memory.span());
    REQUIRE(plan);
    CHECK(memory.guards_hold());
    std::vector<int> count;
    for (int v = 0; v < plan.views; ++v) {
      CHECK(plan.count(v, 0) == plan.count(v, 1));
      count.push_back(plan.count(v, 0));
    }
    return count;
  }
};
}  // namespace

TEST_CASE("entropy_variance: counts are CAKE's rule over the preferences") {
  CHECK(support::holds("entropy_variance: counts", 300, [] {
    using rc::gen::inRange, rc::gen::resize;
    int const layers = *resize(100, inRange(1, 12)), tokens = *resize(100, inRange(1, 500));
    int const cap = *resize(100, inRange(0, 500)), window = *rc::gen::element(0, 1, 16);
    double const tau1 = *rc::gen::element(0.5, 1.0, 1.6), tau2 = *rc::gen::element(0.4, 1.0, 2.3);
    std::vector<double> spread, preferences;
    for (int l = 0; l < layers; ++l) {
      reference::layer_spread s;
      s.entropy = 2000 * *support::fractions();
      s.variance = *support::fractions();
      spread.insert(spread.end(), {s.entropy, s.variance});
      preferences.push_back(s.preference(tau1, tau2));
    }
    int const forced = std::min(window, tokens), limited = std::min(cap, tokens);
    auto want = reference::preference(preferences, long{limited - forced} * layers, tokens - forced);
    for (long& x : want) {
      x += forced;
      if (limited <= forced) x = limited;
      if (tokens <= limited + forced) x = tokens;
    }
    measured_views const views(tokens, window, spread);
    auto const got = views.counts({.tokens = cap, .tau1 = tau1, .tau2 = tau2});
    RC_ASSERT(std::vector<long>(got.begin(), got.end()) == want);
  }));
}

TEST_CASE("entropy_variance: layers that measure nothing share alike") {
  CHECK(measured_views(100, 10, {0, 0, 0, 0}).counts({.tokens = 40}) == std::vector{40, 40});
  CHECK(measured_views(100, 10, {5, 0, 5, 0}).counts({.tokens = 40}) == std::vector{40, 40});  // no variance
  CHECK(measured_views(100, 10, {NAN, 1, 5, -1}).counts({.tokens = 40}) == std::vector{40, 40});
  CHECK(measured_views(100, 10, {0, 1, 5, 1}).counts({.tokens = 40}) == std::vector{10, 70});
  CHECK(measured_views(100, 10, {HUGE_VAL, 1, 5, 1}).counts({.tokens = 40}) == std::vector{70, 10});
  CHECK(measured_views(100, 10, {5, 1}).counts({.tokens = 40}) == std::vector{40});  // one layer
}

TEST_CASE("entropy_variance: fewer views than layers are the first ones, and get nothing back") {
  CHECK(measured_views(100, 10, {1, 1}).counts({.tokens = 40, .layers = 3}) == std::vector{100});
  CHECK(measured_views(100, 10, {1, 1, 2, 1}).counts({.tokens = 40, .layers = 3}) == std::vector{40, 70});
  CHECK(measured_views(100, 10, {1, 1, 2, 1}).counts({.tokens = 40, .layers = 2}) == std::vector{30, 50});
  // 50 of 100 tokens are there any more.
  CHECK(measured_views(50, 10, {1, 1, 2, 1}).counts({.tokens = 40, .layers = 3, .prompt = 100}) == std::vector{40, 50});
  // Sequences by themselves.
  CHECK(measured_views(100, 10, {1, 1, 2, 1, 3, 1, 3, 1}).counts({.tokens = 40, .layers = 2}) ==
        std::vector{30, 50, 40, 40});
}

TEST_CASE("mean_variance_entropy: scores of mean_variance, and the reference's entropy and variance") {
  CHECK(support::holds("mean_variance_entropy", 40, [] {
    auto s = *support::shapes(20, 3000);
    int const window = *rc::gen::element(2, 7, 16, 40);
    for (int& n : s.tokens) n = std::max(n, window);
    auto const layers = support::make_layers<float, 64, false>(s, [&](int) { return window; });
    auto const plain =
        support::make_plan<snap_kv<aggregate::mean_variance>>(s.executor, layers, {.score = {.window = window}});
    auto const p = support::make_plan<measured_window>(s.executor, layers, {.score = {.window = window}});
    RC_ASSERT(static_cast<bool>(p.plan));
    for (int v = 0; v < s.views(); ++v)
      for (int h = 0; h < s.kv_heads; ++h) {
        auto const a = p.plan.scores(v, h), b = plain.plan.scores(v, h);
        for (std::size_t t = 0; t < a.size(); ++t) RC_ASSERT(a[t] == b[t] || (std::isnan(a[t]) && std::isnan(b[t])));
      }
    support::with_executor(s.executor, [&](auto const& on) {
      for (int v = 0; v < s.views(); ++v) {
        auto const& l = layers[static_cast<std::size_t>(v)];
        auto const view = l.const_view();
        auto const queries = l.queries.view();
        cs::span<std::remove_cv_t<decltype(view)> const> const views(&view, 1);
        cs::span<std::remove_cv_t<decltype(queries)> const> const observed(&queries, 1);
        measured_window::params const params{.score = {.window = window}};
        support::workspace memory(score_tokens_workspace_bytes<measured_window>(on, views, observed, params));
        auto const scores = score_tokens<measured_window>(on, views, observed, params, memory.span());
        RC_ASSERT(static_cast<bool>(scores));
        RC_ASSERT(memory.guards_hold());
        RC_ASSERT(scores.statistics.each == 2);
        auto const tokens = static_cast<std::size_t>(l.keys.tokens());
        std::vector<double> p_all(static_cast<std::size_t>(window) * tokens);
        reference::layer_spread want;
        double relative = 0;
        for (int g = 0; g < s.kv_heads * s.group; ++g) {
          reference::attention(queries, g, l.keys.view(), g / s.group, window, std::span<double>(p_all));
          for (double& x : p_all)
            if (std::isnan(x)) x = 0;
          want.add(p_all, window, tokens, tokens - static_cast<std::size_t>(window));
          relative = std::max(relative, support::probability_error(queries, g, l.keys.view(), g / s.group, window));
        }
        // A relative error e of p moves p ln p by e p (|ln p| + 1), |ln p| up to 23; float adds the rounding of the
        // logarithm, 1e-7, and of the sums over the queries. The variance loses what cancels: sum p^2.
        double const e = relative + 2e-6, heads = s.kv_heads * s.group * window;
        RC_ASSERT(std::abs(scores.statistics.of(0, 0) - want.entropy) <= 24 * e * heads + 1e-6);
        RC_ASSERT(std::abs(scores.statistics.of(0, 1) - want.variance) <= 4 * e * heads / (window - 1) + 1e-9);
      }
      return 0;
    });
  }));
}

TEST_CASE("mean_variance_entropy: the same bits for 1 to 8 workers") {
  support::shape s;
  s.kv_heads = 2;
  s.group = 3;
  s.tokens = {5000, 700};  // one that all workers share, one that is a task for each head
  s.seed = 21;
  auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 32; });
  std::vector<decltype(layers[0].const_view())> views;
  std::vector<decltype(layers[0].queries.view())> queries;
  for (auto const& l : layers) {
    views.push_back(l.const_view());
    queries.push_back(l.queries.view());
  }
  cs::span<decltype(views)::value_type const> const all(views.data(), views.size());
  cs::span<decltype(queries)::value_type const> const observed(queries.data(), queries.size());
  measured_window::params const params{.score = {.window = 32}};
  std::vector<double> first;
  for (int workers = 1; workers <= 8; ++workers) {
    host::team team{workers};
    host::on const on{team};
    support::workspace memory(score_tokens_workspace_bytes<measured_window>(on, all, observed, params));
    auto const scores = score_tokens<measured_window>(on, all, observed, params, memory.span());
    REQUIRE(scores);
    std::vector<double> measured;
    for (int v = 0; v < 2; ++v)
      for (int k = 0; k < 2; ++k) measured.push_back(scores.statistics.of(v, k));
    if (workers == 1) first = measured;
    CHECK(measured == first);
    CHECK(first[0] > 0);
  }
}

TEST_CASE("log2 of a fragment is the logarithm's") {
  using host::fragment;
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    float each[fragment::lanes];
    for (float& x : each)
      x = std::ldexp(1.0f + static_cast<float>(random() % (1u << 23)) * 0x1p-23f,
                     static_cast<int>(random() % 250) - 125);
    if (i % 2 == 0)
      for (float& x : each) x = 1.0f + (static_cast<float>(random() % 4001) - 2000.0f) * 0x1p-14f;
    fragment const got = log2(host::load(each));
    for (int j = 0; j < fragment::lanes; ++j) {
      double const want = std::log2(static_cast<double>(each[j]));
      REQUIRE(std::abs(static_cast<double>(got[j]) - want) <= std::max(2e-7 * std::abs(want), 1e-7));
    }
  }
}

TEST_CASE("entropy_variance: what it cannot do is refused") {
  auto const bad = errc::bad_params;
  host::on const on;
  support::workspace memory(64);
  measured_views v(100, 10, {1, 1, 1, 1});
  auto const state = [&](entropy_variance::params const& p) {
    auto const s = choose_tokens<entropy_variance, select::top_k>(on, v.scores, p, {}, memory.span()).state;
    CHECK(memory.untouched());
    return s;
  };
  support::check_refused(state({.tau1 = 0}), bad, {"budget.tau1", "0"});
  support::check_refused(state({.tau2 = -1}), bad, {"budget.tau2", "-1", "0"});
  support::check_refused(state({.keep = 1.5}), bad, {"budget.keep", "1.5", "1"});
  support::check_refused(state({.prompt = -1}), bad, {"budget.prompt", "-1", "0"});
  measured_views three(100, 10, {1, 1, 1, 1, 1, 1});
  support::check_refused(
      choose_tokens<entropy_variance, select::top_k>(on, three.scores, {.layers = 2}, {}, memory.span()).state,
      errc::bad_shape, {"layers", "3", "2"});
  v.scores.statistics = {};
  support::check_refused(state({}), bad, {"scores.statistics", "0", "2"});
  // A window of one query has no variance.
  support::shape s;
  s.tokens = {20};
  auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 1; });
  support::check_refused(support::make_plan<snap_kv<aggregate::mean_variance_entropy, entropy_variance>>(
                             0, layers, {.score = {.window = 1}})
                             .plan.state,
                         bad, {"observed queries", "1", "2"});
}
