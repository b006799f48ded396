// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Threshold, Gumbel draws and two stages.
#include <kvsieve/reference/gumbel.hpp>
#include <kvsieve/reference/threshold.hpp>
#include <kvsieve/reference/two_stage.hpp>

#include <catch2/catch_all.hpp>
#include <map>

#include "raw_scores.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;

template <class Select>
std::string refusal(typename Select::params const& p, bool both = true) {
  support::raw_scores scores(1, 0, 1, {100});
  auto const c = support::choose_on<budget::uniform, Select>(host::on{}, scores.get(both), {}, p);
  CHECK(!c.plan);
  return support::message_of(c.plan.state);
}
}  // namespace

TEST_CASE("threshold: as the reference keeps them, lists one behind another") {
  CHECK(support::holds("threshold: as the reference", 300, [] {
    forced_ends const ends{0, *rc::gen::resize(100, rc::gen::inRange(0, 20))};
    auto c = support::draw_choice(700, ends);
    // A score that is there, a number between, or an end of the scale.
    float const least = *rc::gen::element(c.scores.data[0], 0.0f, 0.5f, -HUGE_VALF, HUGE_VALF, 1.0f + 0x1p-22f);
    RC_PRE(!std::isnan(least));
    auto const p = c.forced.in(select::threshold::params{.threshold = least});
    auto const plan =
        support::assert_choice<budget::uniform, select::threshold>(c, {.keep = c.keep}, p, [&](int v, int h) {
          return reference::threshold(c.scores.row(v, h), static_cast<double>(least), c.forced.reference(ends));
        });
    RC_ASSERT(plan.uniformity_class == uniformity::F);
    RC_ASSERT(static_cast<bool>(plan.note));
  }));
}

TEST_CASE("gumbel: as the reference draws them, for any number of threads") {
  CHECK(support::holds("gumbel: as the reference", 250, [] {
    auto c = support::draw_choice();
    double const drawn = *support::fractions(), temperature = *rc::gen::element(0.01, 1.0, 50.0);
    auto const seed = *rc::gen::arbitrary<std::uint64_t>();
    auto const p = c.forced.in(select::gumbel::params{.drawn = drawn, .temperature = temperature, .seed = seed});
    support::assert_choice<budget::uniform, select::gumbel>(c, {.keep = c.keep}, p, [&](int v, int h) {
      auto const row = c.scores.row(v, h);
      int const keep = static_cast<int>(std::floor(static_cast<double>(row.size()) * c.keep));
      return reference::gumbel(row, keep, drawn, temperature, seed, v * c.scores.heads + h, c.forced.reference());
    });
  }));
}

TEST_CASE("gumbel: draws follow the softmax, without replacement") {
  support::raw_scores scores(1, 0, 1, {4});
  double const score[] = {0.3, -1.1, 1.4, 0.0}, temperature = 0.8;
  double probability[4], sum = 0;
  for (int t = 0; t < 4; ++t) {
    scores.data[static_cast<std::size_t>(t)] = static_cast<float>(score[t]);
    sum += probability[t] = std::exp(score[t] / temperature);
  }
  for (double& p : probability) p /= sum;
  int const rounds = 20000;
  std::map<std::vector<int>, int> seen;
  for (int i = 0; i < rounds; ++i)
    ++seen[support::choose_on<budget::uniform, select::gumbel>(
               host::on{}, scores.get(), {.tokens = 2},
               {.drawn = 1, .temperature = temperature, .seed = static_cast<std::uint64_t>(i)})
               .kept[0]];
  for (int a = 0; a < 4; ++a)
    for (int b = a + 1; b < 4; ++b) {
      // Either may come first; the second is drawn from what the first has left.
      double const p = probability[a] * probability[b] / (1 - probability[a]) +
                       probability[b] * probability[a] / (1 - probability[b]);
      double const share = static_cast<double>(seen[{a, b}]) / rounds;
      CAPTURE(a, b, p, share);
      CHECK(std::abs(share - p) < 4.5 * std::sqrt(p * (1 - p) / rounds));
    }
}

TEST_CASE("gumbel: heads, views and seeds draw apart") {
  support::raw_scores scores(1, 2, 2, {300, 300});  // all equal
  select::gumbel::params const first{.drawn = 1}, second{.drawn = 1, .seed = 1};
  auto const a = support::choose_on<budget::uniform, select::gumbel>(host::on{}, scores.get(), {}, first);
  auto const b = support::choose_on<budget::uniform, select::gumbel>(host::on{}, scores.get(), {}, second);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(a.kept[i] != b.kept[i]);
    for (std::size_t j = 0; j < i; ++j) CHECK(a.kept[i] != a.kept[j]);
  }
  // Nothing drawn is top-k.
  auto const none = support::choose_on<budget::uniform, select::gumbel>(host::on{}, scores.get(), {}, {.drawn = 0});
  auto const top = support::choose_on<budget::uniform, select::top_k>(host::on{}, scores.get(), {}, {});
  CHECK(none.kept == top.kept);
}

TEST_CASE("two_stage: as the reference keeps them, by both rows of scores") {
  CHECK(support::holds("two_stage: as the reference", 250, [] {
    auto c = support::draw_choice();
    double const first = *support::fractions();
    auto const p = c.forced.in(select::two_stage::params{.first = first});
    support::assert_choice<budget::uniform, select::two_stage>(
        c, {.keep = c.keep}, p,
        [&](int v, int h) {
          auto const row = c.scores.row(v, h);
          int const keep = static_cast<int>(std::floor(static_cast<double>(row.size()) * c.keep));
          return reference::two_stage(row, c.scores.row(v, h, true), keep, first, c.forced.reference());
        },
        true);
  }));
}

TEST_CASE("threshold, gumbel and two_stage refuse what does not fit, and say so") {
  CHECK(refusal<select::threshold>({.threshold = NAN}) == "select.threshold is nan, must be at least -inf");
  CHECK(refusal<select::threshold>({.recent = -1}) == "select.recent is -1, must be at least 0");
  CHECK(refusal<select::gumbel>({.drawn = 1.5}) == "select.drawn is 1.5, must be at most 1");
  CHECK(refusal<select::gumbel>({.temperature = 0}) == "select.temperature is 0, must be greater than 0");
  CHECK(refusal<select::gumbel>({.temperature = NAN}) == "select.temperature is nan, must be greater than 0");
  CHECK(refusal<select::gumbel>({.temperature = HUGE_VAL}) == "select.temperature is inf, must be at most 1e+30");
  CHECK(refusal<select::two_stage>({.first = -0.1}) == "select.first is -0.1, must be at least 0");
  CHECK(refusal<select::two_stage>({}, false) ==
        "scores.weighed is 0, must not be null for a selection by two scores; 0");
}
