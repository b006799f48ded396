// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/score/blend.hpp>
#include <kvsieve/score/product.hpp>

#include <kvsieve/reference/z_score.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace {
using kvsieve::token_plan;
using first_half = kvsieve::key_norm<>;
using second_half = kvsieve::snap_kv<kvsieve::scale::z_score>;
using blended = kvsieve::compressor<kvsieve::score::blend<first_half, second_half>>;
using multiplied = kvsieve::compressor<kvsieve::score::product<first_half, second_half>, kvsieve::smooth::average>;

// What the two halves give by themselves, joined in double; the larger of their forced ends stays.
template <class C, class Layers, class Join>
void check_halves(support::shape const& s, Layers const& layers, typename C::params const& params, double keep,
                  int window, Join const& join) {
  auto const whole = support::make_plan<C>(s.executor, layers, params);
  auto const a = support::make_plan<first_half>(s.executor, layers, params.score.first);
  auto const b = support::make_plan<second_half>(s.executor, layers, params.score.second);
  RC_ASSERT(static_cast<bool>(whole.plan));
  support::assert_plan(
      whole, s, keep,
      [&](int v, int h) {
        int const tokens = s.tokens[static_cast<std::size_t>(v)];
        support::expected e(tokens);
        auto const x = a.plan.scores(v, h), y = b.plan.scores(v, h);
        join(std::vector<double>(x.begin(), x.end()), std::vector<double>(y.begin(), y.end()), e);
        return e;
      },
      [&](int) { return support::ends(0, window); });
}
}  // namespace

TEST_CASE("score::blend: the sum of what its halves give by themselves") {
  CHECK(support::holds("score::blend: the sum of what its halves give by themselves", 60, [] {
    auto const s = *support::shapes(1, 300);
    double const keep = *support::fractions();
    int const window = *rc::gen::resize(100, rc::gen::inRange(1, s.shortest() + 1));
    blended::params params{.budget = {.keep = keep}};
    params.score.second.score.window = window;
    params.score.weight = *rc::gen::element(0.0f, 0.5f, -2.0f);
    support::with_combination<2>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [&](int) { return window; });
      check_halves<blended>(s, layers, params, keep, window, [&](auto const& x, auto const& y, auto& e) {
        for (std::size_t t = 0; t < x.size(); ++t) {
          double const second = static_cast<double>(params.score.weight) * y[t];
          e.score[t] = x[t] + second;
          e.bound[t] = 2 * support::u * (std::abs(x[t]) + std::abs(second)) + 1e-44;
        }
      });
    });
  }));
}

TEST_CASE("score::product: the product, and stages behind it see the joined score") {
  CHECK(support::holds("score::product: the product, and stages behind it see the joined score", 40, [] {
    auto s = *support::shapes(1, 300);
    double const keep = *support::fractions();
    int const window = *rc::gen::resize(100, rc::gen::inRange(1, s.shortest() + 1));
    if (s.what == support::content::denormal || s.what == support::content::non_finite)
      s.what = support::content::normal;
    multiplied::params params{.smooth = {.kernel = 3}, .budget = {.keep = keep}};
    params.score.second.score.window = window;
    support::with_combination<2>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [&](int) { return window; });
      check_halves<multiplied>(s, layers, params, keep, window, [&](auto const& x, auto const& y, auto& e) {
        std::size_t const scored = x.size() - static_cast<std::size_t>(window);
        for (std::size_t t = 0; t < scored; ++t)
          for (std::size_t i = t == 0 ? 0 : t - 1; i < scored && i <= t + 1; ++i) {
            e.score[t] += x[i] * y[i] / 3;
            e.bound[t] += 6 * support::u * std::abs(x[i] * y[i]) + 1e-44;
          }
      });
    });
  }));
}

TEST_CASE("score::blend: either half is refused for its own numbers, and nothing is written") {
  std::vector<support::layer<float, 64>> layers;
  layers.emplace_back(1, 1, 40, 20, support::layout::packed, support::content::normal, 1);
  blended::params params;
  params.score.second.score.window = 41;
  CHECK(std::string(support::make_plan<blended>(0, layers, params).plan.state.argument) == "score.window");
  params.score.second.score.window = 21;
  CHECK(std::string(support::make_plan<blended>(0, layers, params).plan.state.argument) == "queries.tokens");
  params.score.second.score.window = 8;
  params.score.second.smooth.kernel = 2;
  CHECK(std::string(support::make_plan<blended>(0, layers, params).plan.state.argument) == "smooth.kernel");
  params.score.second.smooth.kernel = 3;
  params.score.weight = std::nanf("");
  CHECK(std::string(support::make_plan<blended>(0, layers, params).plan.state.argument) == "score.weight");
}

TEST_CASE("score::blend: its numbers are named by half and stage, and read what both halves read") {
  blended::params params;
  std::vector<std::string> names;
  blended::params::each(params, [&](char const* stage, char const* name, auto&, char const*, char const*) {
    if (std::string(stage) == "score") names.emplace_back(name);
  });
  CHECK(std::count(names.begin(), names.end(), "second.score.window") == 1);
  CHECK(std::count(names.begin(), names.end(), "second.smooth.kernel") == 1);
  CHECK(std::count(names.begin(), names.end(), "weight") == 1);
  CHECK(blended::reads == (kvsieve::needs::keys | kvsieve::needs::queries));
  CHECK(blended::observes_queries);
  using apart = kvsieve::compressor<kvsieve::score::blend<first_half, kvsieve::streaming_llm<>>>;
  CHECK_FALSE(apart::observes_queries);
  CHECK(apart::uniformity_class == kvsieve::uniformity::U1);
}

TEST_CASE("compactor: what its halves give inside the forced ends, in standard deviations") {
  int const tokens = 130, heads = 2;
  std::vector<support::layer<float, 64>> layers;
  layers.emplace_back(heads, 2, tokens, tokens, support::layout::packed, support::content::normal, 1);
  kvsieve::compactor<>::params params;
  params.score.first.score.chunk = 50;
  auto const whole = support::make_plan<kvsieve::compactor<>>(1, layers, params);
  using attention = kvsieve::compressor<kvsieve::score::non_causal_attention, kvsieve::weigh::value_norm>;
  using leverage = kvsieve::compressor<kvsieve::score::leverage>;
  auto const a = support::make_plan<attention>(0, layers, {.score = {.chunk = 50, .sink = 8, .recent = 4}});
  auto const b = support::make_plan<leverage>(0, layers, {.score = {.sink = 8, .recent = 4}});
  REQUIRE(whole.plan);
  int const n = tokens - 12;
  auto const at = [&](int h, int t) { return static_cast<std::size_t>(h * n + t); };
  std::vector<double> first(static_cast<std::size_t>(heads * n)), second = first;
  for (int h = 0; h < heads; ++h)
    for (int t = 0; t < n; ++t) {
      for (int i = std::max(t - 1, 0); i <= std::min(t + 1, n - 1); ++i)
        first[at(h, t)] += static_cast<double>(a.plan.scores(0, h)[static_cast<std::size_t>(i + 8)]) / 3;
      second[at(h, t)] = static_cast<double>(b.plan.scores(0, h)[static_cast<std::size_t>(t + 8)]);
    }
  kvsieve::reference::z_score(first);
  kvsieve::reference::z_score(second);
  for (int h = 0; h < heads; ++h) {
    auto const got = whole.plan.scores(0, h);
    for (int t = 0; t < tokens; ++t)
      if (t < 8 || t >= tokens - 4)
        CHECK(got[static_cast<std::size_t>(t)] == HUGE_VALF);
      else
        CHECK(got[static_cast<std::size_t>(t)] ==
              Catch::Approx(first[at(h, t - 8)] + static_cast<double>(0.35f) * second[at(h, t - 8)]).margin(1e-4));
  }
}

TEST_CASE("first tokens that a score forces take no part in pools, lifts and standard deviations") {
  // Index 4 to 11 are scored: their z-scores are those of 8 numbers in a row, whatever stands before.
  std::vector<support::layer<float, 64>> layers;
  layers.emplace_back(1, 1, 12, 1, support::layout::packed, support::content::normal, 1);
  using pooled = kvsieve::streaming_llm<kvsieve::smooth::average, kvsieve::scale::z_score>;
  auto const p = support::make_plan<pooled>(0, layers, {.score = {.sink = 4}, .smooth = {.kernel = 3}});
  std::vector<double> want;
  for (int t = 4; t < 12; ++t) want.push_back(((t > 4 ? t - 1 : 0) + t + (t < 11 ? t + 1 : 0)) / 3.0);
  kvsieve::reference::z_score(want);
  for (std::size_t t = 4; t < 12; ++t) CHECK(p.plan.scores(0, 0)[t] == Catch::Approx(want[t - 4]));
}
