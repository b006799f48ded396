// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What has to happen to scores of rows when tokens trade places, or when values or keys grow.
#include <kvsieve/score/value_norm.hpp>

#include <algorithm>
#include <numeric>

#include <catch2/catch_all.hpp>

#include "planned.hpp"

namespace {
using namespace kvsieve;
using cache = support::layer<float, 64>;

constexpr int tokens = 90;

cache random_cache() { return {2, 1, tokens, 1, support::layout::packed, support::content::normal, 7}; }
cache in_order(cache const& from, std::vector<int> const& order) {
  cache to = from;
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < tokens; ++t)
      for (int d = 0; d < 64; ++d) {
        int const source = order[static_cast<std::size_t>(t)];
        to.keys.set(h, t, d, from.keys.get(h, source, d));
        to.values.set(h, t, d, from.values.get(h, source, d));
      }
  return to;
}
cache scaled(cache const& from, float keys, float values) {
  cache to = from;
  for (int h = 0; h < 2; ++h)
    for (int t = 0; t < tokens; ++t)
      for (int d = 0; d < 64; ++d) {
        to.keys.set(h, t, d, keys * from.keys.get(h, t, d));
        to.values.set(h, t, d, values * from.values.get(h, t, d));
      }
  return to;
}
template <class C>
std::vector<float> scores_of(cache const& c, typename C::params const& params = {}) {
  auto const p = support::make_plan<C>(0, std::vector{c}, params);
  REQUIRE(p.plan);
  std::vector<float> all;
  for (int h = 0; h < 2; ++h) {
    auto const row = p.plan.scores(0, h);
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}
std::vector<float> times(std::vector<float> scores, float factor) {
  for (float& x : scores) x *= factor;
  return scores;
}
template <class C>
void goes_with_its_token(typename C::params const& params = {}) {
  std::vector<int> order(tokens);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  auto const before = scores_of<C>(random_cache(), params),
             after = scores_of<C>(in_order(random_cache(), order), params);
  for (std::size_t h = 0; h < 2; ++h)
    for (std::size_t t = 0; t < tokens; ++t)
      CHECK(after[h * tokens + t] == before[h * tokens + static_cast<std::size_t>(order[t])]);
}
}  // namespace

TEST_CASE("scores of a row alone go with their token, to the bit") {
  std::vector<float> filters(2 * 64);
  std::iota(filters.begin(), filters.end(), -60.0f);
  goes_with_its_token<value_key_ratio<>>();
  goes_with_its_token<compressor<score::value_norm>>();
  goes_with_its_token<q_filters<>>({.score = {.filter = {filters.data(), filters.size()}}});
}

TEST_CASE("values twice as long make value-weighted scores twice as large") {
  auto const c = random_cache(), longer = scaled(c, 1, 2);
  CHECK(scores_of<compressor<score::value_norm>>(longer) == times(scores_of<compressor<score::value_norm>>(c), 2));
  CHECK(scores_of<value_key_ratio<>>(longer) == times(scores_of<value_key_ratio<>>(c), 2));
  CHECK(scores_of<value_key_ratio<>>(scaled(c, 4, 1)) == times(scores_of<value_key_ratio<>>(c), 0.25f));
}

TEST_CASE("shares know no scale") {
  auto const c = random_cache();
  cur<>::params const no_sinks{.score = {.sink = 0}};
  CHECK(scores_of<cur<>>(scaled(c, 4, 0.5f), no_sinks) == scores_of<cur<>>(c, no_sinks));
  CHECK(scores_of<redundancy<>>(scaled(c, 4, 1)) == scores_of<redundancy<>>(c));
  auto const scores = scores_of<cur<>>(c, no_sinks);
  for (std::ptrdiff_t h = 0; h < 2; ++h)
    CHECK(std::abs(std::accumulate(scores.begin() + h * tokens, scores.begin() + (h + 1) * tokens, 0.0) - 1) < 1e-5);
}
