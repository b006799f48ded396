// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores of caches so plain that their formulas can be worked out on paper.
#include <kvsieve/kvsieve.hpp>

#include <cmath>

#include <catch2/catch_all.hpp>

#include "hidden_states.hpp"
#include "planned.hpp"

namespace {
using namespace kvsieve;

// One head of `tokens` zero keys and values.
support::layer<float, 64> zeros(int tokens) {
  support::layer<float, 64> l(1, 1, tokens, 1, support::layout::packed, support::content::normal, 1);
  for (int t = 0; t < tokens; ++t)
    for (int d = 0; d < 64; ++d) {
      l.keys.set(0, t, d, 0.0f);
      l.values.set(0, t, d, 0.0f);
    }
  return l;
}
template <class C>
std::vector<double> scores_of(support::layer<float, 64> const& l, typename C::params const& params) {
  auto const p = support::make_plan<C>(0, std::vector{l}, params);
  REQUIRE(p.plan);
  auto const row = p.plan.scores(0, 0);
  return {row.begin(), row.end()};
}
void check_near(std::vector<double> const& got, std::vector<double> const& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t t = 0; t < want.size(); ++t) {
    CAPTURE(t, got[t], want[t]);
    CHECK(std::abs(got[t] - want[t]) <= 1e-6 * std::max(1e-3, std::abs(want[t])));
  }
}
}  // namespace

TEST_CASE("q_filters by hand") {
  auto l = zeros(3);
  l.keys.set(0, 0, 0, 2.0f);
  l.keys.set(0, 1, 63, -1.0f);
  std::vector<float> filter(64);
  filter[0] = 3;
  filter[63] = 0.5f;
  check_near(scores_of<q_filters<>>(l, {.score = {.filter = support::span_of(filter)}}), {-6, 0.5, 0});
}

TEST_CASE("cur by hand: shares of two blocks, then of the head") {
  auto l = zeros(3);
  for (int t = 0; t < 3; ++t) {
    l.keys.set(0, t, 5, t == 0 ? 1.0f : 2.0f);    // squares 1, 4 | 4
    l.values.set(0, t, 9, t == 1 ? 1.0f : 3.0f);  // squares 9, 1 | 9
  }
  // Products: 1/5 * 9/10, 4/5 * 1/10, 1; their sum is 1.26.
  check_near(scores_of<cur<>>(l, {.score = {.sink = 0, .block_size = 2}}), {0.18 / 1.26, 0.08 / 1.26, 1 / 1.26});
}

TEST_CASE("redundancy by hand: two equal keys and one across") {
  auto l = zeros(3);
  l.keys.set(0, 0, 1, 1.0f);
  l.keys.set(0, 1, 1, 7.0f);
  l.keys.set(0, 2, 2, 1.0f);
  double const e = std::exp(1.0 / 3);
  check_near(scores_of<redundancy<>>(l, {.score = {.threshold = 1}}),
             {-e / (2 * e + 1), -e / (2 * e + 1), -1 / (2 * e + 1)});
  // Each of the two is the last alike of the other, so nothing is left.
  check_near(scores_of<redundancy<>>(l, {}), {-1.0 / 3, -1.0 / 3, -1.0 / 3});
}

TEST_CASE("kv_zap by hand: a unit of 1 gives the normal distribution's 0.8413447461") {
  auto const l = zeros(2);
  std::vector<float> const states(2 * 16, 0.25f), weight(16, 0.5f), out_weight{2.0f}, out_bias{10.0f};
  hidden_rows const hidden{states.data(), dtype::f32, 2, 16, 16};
  auto const with = [&](float of_bias) {
    std::vector<float> const b{of_bias};
    return scores_of<kv_zap<>>(l, {.score = {.hidden = {&hidden, 1},
                                             .width = 16,
                                             .units = 1,
                                             .weight = support::span_of(weight),
                                             .bias = support::span_of(b),
                                             .out_weight = support::span_of(out_weight),
                                             .out_bias = support::span_of(out_bias)}});
  };
  // The product is 16 / 8 = 2.
  check_near(with(-1), {10 + 2 * 0.8413447461, 10 + 2 * 0.8413447461});
  check_near(with(-3), {10 - 2 * 0.1586552539, 10 - 2 * 0.1586552539});
}

TEST_CASE("gate by hand: without queries and keys the offset stands against the base keys") {
  auto const l = zeros(2);
  std::vector<float> const states(2 * 16, 1.0f), weight(2 * 4 * 16, 0.0f), bias(4, 0.0f), ones(4, 1.0f),
      base(3 * 4, 1.0f), offset{std::log(2.0f)};
  hidden_rows const hidden{states.data(), dtype::f32, 2, 16, 16};
  auto const with = [&](std::vector<float> const& own_bias) {
    return scores_of<compressor<score::gate>>(l, {.score = {.hidden = {&hidden, 1},
                                                            .width = 16,
                                                            .group = 1,
                                                            .channels = 4,
                                                            .base_keys = 3,
                                                            .weight = support::span_of(weight),
                                                            .bias = support::span_of(own_bias),
                                                            .query_norm = support::span_of(ones),
                                                            .key_norm = support::span_of(ones),
                                                            .base_key = support::span_of(base),
                                                            .offset = support::span_of(offset),
                                                            .sink = 0}});
  };
  check_near(with(bias), {2.0 / 5, 2.0 / 5});
  // A query of (1, 1, 1, 1) after its norm meets base keys of the same: logits 4 / 2 = 2.
  double const others = 3 * std::exp(2.0);
  check_near(with({1000, 1000, 1000, 1000}), {2 / (2 + others), 2 / (2 + others)});
}
