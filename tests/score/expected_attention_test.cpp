// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/expected_attention.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace {
namespace ref = kvsieve::reference;
using from_prompt = kvsieve::compressor<kvsieve::score::expected_attention<>>;
using from_table = kvsieve::compressor<kvsieve::score::expected_attention<kvsieve::statistics::stored>>;

double trace_of(ref::matrix const& m) {
  double sum = 0;
  for (std::size_t d = 0; d < m.size(); ++d) sum += m[d][d];
  return sum;
}

// z = <b, k> + k^T C k / (2 D). By Cauchy its terms add up to at most ||b|| ||k|| + trace(C) ||k||^2 / (2 D); rows
// enter b and C with 8 u of their size, the sums of C are chains of 64 joined in double, those of the form of 2 D + 2.
// With that error d, a probability is off by exp(2 d) - 1, and by the roundings of exponentials and sums.
template <int D>
void add_head(auto const& keys, int head, ref::query_statistics const& s, int sink, int future,
              kvsieve::rope_params const& rope, int group, support::expected& e) {
  std::vector<double> logit(e.score.size(), 0.0), before = e.score;
  ref::expected_attention(keys, head, s, sink, future, rope, 1.0 / group, e.score, logit);
  double norm = 0, mean = 0, worst = 0;
  for (double const m : s.mean) mean += m * m;
  for (std::size_t t = static_cast<std::size_t>(sink); t < e.score.size(); ++t)
    if (!std::isnan(logit[t])) {
      norm = std::max(norm, ref::norm_of(keys, head, static_cast<kvsieve::index>(t)));
      worst = std::max(worst, std::abs(logit[t]));
    }
  double const size = std::sqrt(mean / D) * norm * rope.rope_factor;
  double const spread = (trace_of(s.covariance) + mean) * norm * norm * rope.rope_factor * rope.rope_factor / (2 * D);
  double const error =
      support::gamma(D + 16) * size + support::gamma(2 * D + 64 + 34) * spread + 4 * support::u * worst;
  double const relative = error < 1 ? std::exp(2 * error) - 1 + 32 * support::u : 1e9;
  for (std::size_t t = 0; t < e.score.size(); ++t)
    e.bound[t] +=
        relative > 1e8 ? 1 : relative * std::abs(e.score[t] - before[t]) + 2e-37 + 4 * support::u * e.score[t];
}
}  // namespace

TEST_CASE("expected_attention: scores and kept tokens are the reference's") {
  CHECK(support::holds("expected_attention: scores and kept tokens are the reference's", 40, [] {
    auto s = *support::shapes(1, 150);
    s.group = s.group % 3 + 1;
    double const keep = *support::fractions();
    from_prompt::params params{.budget = {.keep = keep}};
    params.score.sink = *rc::gen::element(0, 1, 4, 50);
    params.score.future = *rc::gen::element(1, 2, 100, 1300);
    params.score.use_covariance = *rc::gen::weightedElement<bool>({{3, true}, {1, false}});
    params.score.rope.rope_interleaved = *rc::gen::arbitrary<bool>();
    params.score.rope.rope_factor = *rc::gen::element(1.0, 1.25);
    params.score.rope.first_position = *rc::gen::element(0, 70);
    auto const& p = params.score;
    support::with_combination<4>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int n) { return n; });
      auto const made = support::make_plan<from_prompt>(s.executor, layers, params);
      support::assert_plan(
          made, s, keep,
          [&](int v, int h) {
            auto const& l = layers[static_cast<std::size_t>(v)];
            int const tokens = l.keys.tokens();
            support::expected e(tokens);
            for (int g = 0; g < s.group; ++g) {
              auto st =
                  ref::statistics_of(l.queries.view(), h * s.group + g, std::max(tokens - p.sink, 1), tokens, p.rope);
              if (!p.use_covariance) st.covariance = ref::zeros(D, D);
              add_head<D>(l.keys.view(), h, st, std::min(p.sink, tokens), p.future, p.rope, s.group, e);
            }
            return e;
          },
          [&](int) { return support::ends(p.sink, 0); });
    });
  }));
}

TEST_CASE("expected_attention: stored statistics of the prompt give what the prompt gives") {
  int const tokens = 90, group = 2, heads = 2;
  std::vector<support::layer<float, 64>> layers;
  for (std::uint32_t v = 0; v < 2; ++v)
    layers.emplace_back(heads, group, tokens, tokens, support::layout::packed, support::content::normal, v);
  std::vector<float> mean, covariance;
  for (auto const& l : layers)
    for (int q = 0; q < heads * group; ++q) {
      auto const s = ref::statistics_of(l.queries.view(), q, tokens - 4, tokens, {});
      for (double const x : s.mean) mean.push_back(static_cast<float>(x));
      for (auto const& row : s.covariance)
        for (double const x : row) covariance.push_back(static_cast<float>(x));
    }
  from_table::params params;
  params.score.statistics = {{mean.data(), mean.size()}, {covariance.data(), covariance.size()}};
  auto const table = support::make_plan<from_table>(1, layers, params);
  auto const prompt = support::make_plan<from_prompt>(1, layers, {});
  REQUIRE(table.plan);
  REQUIRE(prompt.plan);
  for (int v = 0; v < 2; ++v)
    for (int h = 0; h < heads; ++h)
      for (std::size_t t = 4; t < static_cast<std::size_t>(tokens); ++t)
        CHECK(table.plan.scores(v, h)[t] == Catch::Approx(prompt.plan.scores(v, h)[t]).epsilon(1e-3));
}

TEST_CASE("expected_attention: tables of the wrong size, N at most the sinks, queries that are all unusable") {
  std::vector<support::layer<float, 64>> layers;
  layers.emplace_back(2, 1, 3, 3, support::layout::packed, support::content::normal, 1);
  std::vector<float> mean(128, 0.0f), covariance(128 * 64, 0.0f);
  auto const state = [&](std::size_t of_mean, std::size_t of_covariance, bool use) {
    from_table::params p;
    p.score.statistics = {{mean.data(), of_mean}, {covariance.data(), of_covariance}};
    p.score.use_covariance = use;
    return support::make_plan<from_table>(0, layers, p).plan.state;
  };
  CHECK(state(128, 128 * 64, true));
  CHECK(state(128, 0, false));
  CHECK_FALSE(state(0, 0, false));
  CHECK_FALSE(state(127, 0, false));
  CHECK_FALSE(state(128, 128, true));
  CHECK(std::string(state(128, 128, true).argument) == "score.covariance");
  auto const all_sinks = support::make_plan<from_prompt>(0, layers, {.budget = {.keep = 1.0}});
  REQUIRE(all_sinks.plan);
  CHECK(all_sinks.plan.count(0) == 3);
  for (int i = 0; i < 3; ++i)
    for (int h = 0; h < 2; ++h) layers[0].queries.set(h, i, 7, std::nanf(""));
  auto const blind = support::make_plan<from_prompt>(0, layers, {.score = {.sink = 0}, .budget = {.keep = 1.0}});
  REQUIRE(blind.plan);
  for (float const x : blind.plan.scores(0, 1)) CHECK(x == 0.0f);
}

TEST_CASE("expected_attention: permuting the tokens behind the sinks permutes the scores") {
  int const tokens = 70;
  std::vector<support::layer<float, 64>> a, b;
  a.emplace_back(1, 3, tokens, tokens, support::layout::packed, support::content::normal, 5);
  b = a;
  for (int t = 4; t < tokens; ++t)
    for (int d = 0; d < 64; ++d) b[0].keys.set(0, tokens + 3 - t, d, a[0].keys.get(0, t, d));
  auto const one = support::make_plan<from_prompt>(0, a, {}), other = support::make_plan<from_prompt>(0, b, {});
  for (int t = 4; t < tokens; ++t)
    CHECK(one.plan.scores(0, 0)[static_cast<std::size_t>(t)] ==
          Catch::Approx(other.plan.scores(0, 0)[static_cast<std::size_t>(tokens + 3 - t)]).epsilon(1e-5));
}

TEST_CASE("expected_attention: scores weighed by the value's norm scale with the values") {
  std::vector<support::layer<float, 64>> a, b;
  a.emplace_back(2, 2, 60, 60, support::layout::packed, support::content::normal, 6);
  b = a;
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < 60; ++t)
      for (int d = 0; d < 64; ++d) b[0].values.set(h, t, d, 4 * a[0].values.get(h, t, d));
  auto const one = support::make_plan<kvsieve::expected_attention<>>(0, a, {.weigh = {.epsilon = 0.01f}});
  auto const other = support::make_plan<kvsieve::expected_attention<>>(0, b, {.weigh = {.epsilon = 0.01f}});
  for (int h = 0; h < 2; ++h)
    for (std::size_t t = 4; t < 60; ++t) CHECK(other.plan.scores(0, h)[t] == 4 * one.plan.scores(0, h)[t]);
}
