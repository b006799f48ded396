// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/budget/layer_errors.hpp>
#include <kvsieve/reference/layer_errors.hpp>

#include <numeric>

#include <catch2/catch_all.hpp>

#include "budgets.hpp"
#include "refusal.hpp"

namespace {
using kvsieve::budget::layer_errors;

std::vector<long> counts(std::vector<double> const& error, int cap, int least, double most, int tokens) {
  std::vector<long> all;
  for (int l = 0; l < static_cast<int>(error.size()); ++l)
    all.push_back(
        layer_errors::count({.tokens = cap, .least = least, .most = most, .error = {error.data(), error.size()}},
                            {.tokens = tokens, .view = l, .views = static_cast<int>(error.size())}));
  return all;
}
}  // namespace

TEST_CASE("layer_errors: corner cases") {
  using list = std::vector<long>;
  CHECK(counts({1, 1}, 100, 32, 3, 1000) == list{100, 100});
  CHECK(counts({3, 1}, 100, 32, 3, 1000) == list{134, 66});  // 136 more: 102 and 34
  CHECK(counts({1, 0}, 100, 32, 3, 1000) == list{168, 32});
  CHECK(counts({1, 0, 0, 0}, 100, 0, 3, 1000) == list{300, 34, 33, 33});  // 400 is above the limit
  CHECK(counts({1, 0, 0, 0}, 100, 0, 3, 250) == list{250, 50, 50, 50});   // and 300 above N
  CHECK(counts({0, 0}, 100, 32, 3, 1000) == list{100, 100});
  CHECK(counts({5, 1}, 20, 32, 3, 1000) == list{20, 20});  // cap below the least
  CHECK(counts({5, 1}, 2000, 32, 3, 1000) == list{1000, 1000});
  CHECK(counts({1}, 100, 32, 3, 1000) == list{100});                                   // one layer
  CHECK(counts({1, 1, 1, 1, 1, 3}, 34, 32, 3, 1000) == list{33, 33, 34, 34, 34, 36});  // 1.5 rounds to 2: two too many
}

TEST_CASE("layer_errors: counts are the reference's, and their sum is exact") {
  CHECK(support::holds("layer_errors: counts are the reference's", 1500, [] {
    using rc::gen::inRange, rc::gen::resize;
    int const layers = *resize(100, inRange(1, 30)), tokens = *resize(100, inRange(1, 900));
    int const cap = *resize(100, inRange(0, 900)), least = *rc::gen::element(0, 8, 32);
    double const most = *rc::gen::element(1.0, 1.5, 3.0);
    bool const coarse = *rc::gen::arbitrary<bool>();
    std::vector<double> error;
    for (int l = 0; l < layers; ++l) {
      double const x = *support::fractions();
      error.push_back(coarse ? std::floor(4 * x) : x * x * x);
    }
    auto const got = counts(error, cap, least, most, tokens);
    if (cap >= tokens || cap <= least) {
      for (long const n : got) RC_ASSERT(n == std::min(cap, tokens));
      return;
    }
    long const limit = std::min(static_cast<long>(most * cap), static_cast<long>(tokens));
    RC_ASSERT(got == kvsieve::reference::layer_errors(error, cap, least, limit));
    RC_ASSERT(std::accumulate(got.begin(), got.end(), 0L) == long{cap} * layers);
    for (long const n : got) RC_ASSERT(n >= least && n <= limit);
  }));
}

TEST_CASE("layer_errors: numbers out of range are refused") {
  using support::check_refused, support::state_of;
  auto const bad = kvsieve::errc::bad_params;
  double const negative[] = {1, -2, 1}, two[] = {1, 1}, three[] = {1, 1, 1};
  check_refused(state_of<layer_errors>({}), bad, {"budget.error", "0", "1"});
  check_refused(state_of<layer_errors>({.error = negative}), bad, {"budget.error", "-2", "0"});
  check_refused(state_of<layer_errors>({.error = two}), kvsieve::errc::bad_shape, {"budget.error", "2", "3"});
  check_refused(state_of<layer_errors>({.most = 0.5, .error = three}), bad, {"budget.most", "0.5", "1"});
  check_refused(state_of<layer_errors>({.least = -1, .error = three}), bad, {"budget.least", "-1", "0"});
}
