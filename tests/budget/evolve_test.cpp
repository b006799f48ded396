// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/evolve.hpp>

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <numeric>
#include <vector>

#include "generators.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;

/// Best where layers keep these tokens, in a valley that is narrow across the diagonal.
struct valley {
  std::vector<int> best;
  double across = 0;
  double operator()(std::span<int const> tokens) const {
    double sum = 0, total = 0;
    for (std::size_t l = 0; l < tokens.size(); ++l) {
      double const off = (tokens[l] - best[l]) / 100.0;
      sum += off * off;
      total += off;
    }
    return 1 / (1 + sum + across * total * total);
  }
};
}  // namespace

TEST_CASE("evolve finds the best counts of a group, also in a narrow valley") {
  for (double const across : {0.0, 20.0}) {
    valley const score{{130, 60, 90, 180, 100, 40, 110, 90}, across};
    std::vector<int> tokens(8), scratch(8);
    auto const r = budget::evolve({.target = 100, .generations = 150, .least = 10, .most = 400, .lambda = 0, .seed = 3},
                                  tokens, score, scratch);
    REQUIRE(r.state);
    CAPTURE(across, tokens);
    CHECK(r.evaluations == 1 + 150 * 10);  // 4 + floor(3 ln 8) children
    CHECK(r.loss == -score(tokens));
    CHECK(-r.loss > 0.999);
    for (std::size_t l = 0; l < 8; ++l) CHECK(std::abs(tokens[l] - score.best[l]) <= 3);
  }
}

TEST_CASE("evolve: one group after another, within limits, never worse than where it starts") {
  CHECK(support::holds("evolve", 25, [] {
    auto const layers = static_cast<std::size_t>(*rc::gen::resize(100, rc::gen::inRange(1, 14)));
    valley score;
    for (std::size_t l = 0; l < layers; ++l) score.best.push_back(*rc::gen::resize(100, rc::gen::inRange(0, 300)));
    budget::evolve_params const p{.target = 100,
                                  .group = *rc::gen::resize(100, rc::gen::inRange(1, 9)),
                                  .generations = 10,
                                  .least = 50,
                                  .most = 200,
                                  .seed = *rc::gen::arbitrary<std::uint64_t>()};
    std::vector<int> tokens(layers), scratch(layers), again(layers);
    auto const r = budget::evolve(p, tokens, score, scratch);
    RC_ASSERT(static_cast<bool>(r.state));
    for (int const n : tokens) RC_ASSERT(n >= 50 && n <= 200);
    RC_ASSERT(-r.loss >= 1.3 * score(std::vector<int>(layers, 100)));  // the mean is the target: 1 + lambda
    RC_ASSERT(budget::evolve(p, again, score, scratch).loss == r.loss);
    RC_ASSERT(again == tokens);
  }));
}

TEST_CASE(
    "evolve: a score that is no number is the worst, and equal scores leave the start, unless fewer tokens gain") {
  std::vector<int> tokens(3), scratch(3);
  auto r = budget::evolve({.generations = 4, .lambda = 0}, tokens, [](auto) { return 0.5; }, scratch);
  CHECK(tokens == std::vector<int>{128, 128, 128});
  CHECK(r.loss == -0.5);
  r = budget::evolve(
      {.generations = 4}, tokens, [](std::span<int const> of) { return of[0] == 128 ? 0.5 : NAN; }, scratch);
  CHECK(tokens[0] == 128);
  CHECK(r.loss <= -0.5 * 1.3);
}

TEST_CASE("evolve: what is wrong is refused, and nothing is changed") {
  std::vector<int> tokens{1, 2, 3}, scratch(3);
  auto const state = [&](budget::evolve_params const& p, std::span<int> memory) {
    auto const r = budget::evolve(p, tokens, [](auto) { return 1.0; }, memory);
    CHECK(r.evaluations == 0);
    CHECK(tokens == std::vector<int>{1, 2, 3});
    return r.state;
  };
  auto const bad = errc::bad_params;
  support::check_refused(state({.group = 33}, scratch), bad, {"evolve.group", "33", "32"});
  support::check_refused(state({.group = 0}, scratch), bad, {"evolve.group", "0", "1"});
  support::check_refused(state({.generations = -1}, scratch), bad, {"evolve.generations", "-1", "0"});
  support::check_refused(state({.target = 0}, scratch), bad, {"evolve.target", "0", "1"});
  support::check_refused(state({.most = 100}, scratch), bad, {"evolve.target", "128", "100"});
  support::check_refused(state({.sigma = 0}, scratch), bad, {"evolve.sigma", "0"});
  support::check_refused(state({.gamma = 1.5}, scratch), bad, {"evolve.gamma", "1.5", "1"});
  support::check_refused(state({}, std::span(scratch).first(2)), errc::workspace_too_small, {"scratch", "2", "3"});
}
