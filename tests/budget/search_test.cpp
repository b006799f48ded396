// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/search.hpp>

#include <algorithm>
#include <catch2/catch_all.hpp>
#include <cmath>
#include <numeric>
#include <vector>

#include "generators.hpp"
#include "refusal.hpp"

namespace {
using namespace kvsieve;

/// What layers lose that keep these tokens; convex, so that the best is found by giving step after step to who gains
/// most.
struct convex {
  std::vector<double> weight;
  double operator()(std::span<int const> tokens, int) const {
    double sum = 0;
    for (std::size_t l = 0; l < tokens.size(); ++l) sum += weight[l] / (1 + tokens[l]);
    return sum;
  }
  [[nodiscard]] double best(std::size_t layers, int total, int step, int least, int most) const {
    std::vector<int> tokens(layers, least);
    for (int left = total - static_cast<int>(layers) * least; left > 0; left -= step) {
      auto const gain = [&](std::size_t l) {
        return tokens[l] + step > most ? -1.0 : weight[l] / (1 + tokens[l]) - weight[l] / (1 + tokens[l] + step);
      };
      std::size_t at = 0;
      for (std::size_t l = 1; l < layers; ++l)
        if (gain(l) > gain(at)) at = l;
      tokens[at] += step;
    }
    return (*this)(tokens, 0);
  }
};
}  // namespace

TEST_CASE("search finds the best counts of a convex loss, and keeps the sum") {
  CHECK(support::holds("search", 30, [] {
    auto const layers = static_cast<std::size_t>(*rc::gen::resize(100, rc::gen::inRange(2, 9)));
    convex loss;
    for (std::size_t l = 0; l < layers; ++l) loss.weight.push_back(1 + 100 * *support::fractions());
    std::vector<int> tokens(layers, 64), scratch(2 * layers);
    budget::search_params const p{
        .generations = 400, .step = 8, .least = 16, .most = 256, .seed = *rc::gen::arbitrary<std::uint64_t>()};
    double const start = loss(tokens, 0);
    auto const r = budget::search(p, tokens, loss, scratch);
    RC_ASSERT(static_cast<bool>(r.state));
    RC_ASSERT(std::accumulate(tokens.begin(), tokens.end(), 0) == 64 * static_cast<int>(layers));
    for (int const n : tokens) RC_ASSERT(n >= 16 && n <= 256 && n % 8 == 0);
    RC_ASSERT(r.loss == loss(tokens, 0));
    RC_ASSERT(r.loss <= start);
    double const best = loss.best(layers, 64 * static_cast<int>(layers), 8, 16, 256);
    RC_ASSERT(std::abs(r.loss - best) <= 1e-12 * best);
    // The same seed finds the same.
    std::vector<int> again(layers, 64);
    RC_ASSERT(budget::search(p, again, loss, scratch).evaluations == r.evaluations);
    RC_ASSERT(again == tokens);
  }));
}

TEST_CASE("search judges parents anew where the loss differs by generation") {
  std::vector<int> tokens{8, 8, 8}, scratch(6);
  std::vector<int> asked;
  auto const r = budget::search(
      {.generations = 3, .offspring = 2, .step = 1, .redraws = true}, tokens,
      [&](std::span<int const> of, int generation) {
        asked.push_back(generation);
        return static_cast<double>(of[0]);
      },
      scratch);
  REQUIRE(r.state);
  CHECK(asked == std::vector<int>{0, 0, 0, 1, 1, 1, 2, 2, 2});
  CHECK(r.evaluations == 9);
}

TEST_CASE("search: a loss that is no number is the worst, and a space of one point has no children") {
  std::vector<int> tokens{8, 8}, scratch(4);
  auto r = budget::search(
      {.generations = 5, .step = 1}, tokens, [](std::span<int const> of, int) { return of[0] == 8 ? 1.0 : NAN; },
      scratch);
  CHECK(tokens == std::vector<int>{8, 8});
  CHECK(r.loss == 1);
  r = budget::search({.generations = 5, .least = 8, .most = 8}, tokens, [](auto, int) { return 1.0; }, scratch);
  CHECK(r.evaluations == 1);
}

TEST_CASE("search: what is wrong is refused, and nothing is changed") {
  std::vector<int> tokens{8, 8}, scratch(4);
  auto const state = [&](budget::search_params const& p, std::span<int> memory) {
    auto const r = budget::search(p, tokens, [](auto, int) { return 1.0; }, memory);
    CHECK(r.evaluations == 0);
    return r.state;
  };
  auto const bad = errc::bad_params;
  support::check_refused(state({.generations = -1}, scratch), bad, {"search.generations", "-1", "0"});
  support::check_refused(state({.offspring = 0}, scratch), bad, {"search.offspring", "0", "1"});
  support::check_refused(state({.step = 0}, scratch), bad, {"search.step", "0", "1"});
  support::check_refused(state({.least = 9, .most = 8}, scratch), bad, {"search.most", "8", "9"});
  support::check_refused(state({.least = 9}, scratch), bad, {"tokens", "8", "9"});
  support::check_refused(state({}, std::span(scratch).first(3)), errc::workspace_too_small, {"scratch", "3", "4"});
  CHECK(tokens == std::vector<int>{8, 8});
}

TEST_CASE("EvolKV's fitness and completion") {
  CHECK(budget::fitness(0.5, 100, 100) == Catch::Approx(0.5 * 1.3));
  CHECK(budget::fitness(0.5, 150, 100) == Catch::Approx(0.5 * 1.15));
  CHECK(budget::fitness(0.5, 300, 100) == Catch::Approx(0.5));
  CHECK(budget::fitness(0.5, 50, 100) == Catch::Approx(0.5 * (1 + 0.3 * 0.9)));
  std::vector<int> tokens{100, 200, 300};
  std::vector<cs::int64_t> share(3);
  REQUIRE(budget::complete(tokens, 1000, 0, 4096, share));
  CHECK(tokens == std::vector<int>{167, 333, 500});  // 166.67, 333.33
  REQUIRE(budget::complete(tokens, 1000, 200, 450, share));
  CHECK(tokens == std::vector<int>{200, 350, 450});  // 450 leaves 50, of which the first one needs 33
  support::check_refused(budget::complete(tokens, 100, 200, 450, share), errc::bad_params,
                         {"complete.total", "100", "600"});
  CHECK(tokens == std::vector<int>{200, 350, 450});
}
