// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/heads.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "scripted.hpp"
#include "tolerance.hpp"

namespace {
// `join(each, heads, score)` gives the scores of all heads [heads * tokens].
template <class Heads, class Join>
bool agrees_with_reference(char const* what, bool alike, Join const& join) {
  using strategy = kvsieve::compressor<support::scripted, Heads>;
  return support::holds(what, 100, [&] {
    auto s = *support::shapes(1, 3001);
    double const keep = *support::fractions();
    int const longest = *std::max_element(s.tokens.begin(), s.tokens.end());
    std::mt19937 random(s.seed);
    std::normal_distribution<float> normal;
    std::vector<float> table(static_cast<std::size_t>(s.views() * s.kv_heads * longest));
    for (float& x : table) x = normal(random);
    auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 1; });
    auto const p = support::make_plan<strategy>(
        s.executor, layers, {.score = {.table = table.data(), .stride = longest}, .budget = {.keep = keep}});
    auto const expect = [&](int v, int head) {
      auto const tokens = static_cast<std::size_t>(s.tokens[static_cast<std::size_t>(v)]);
      support::expected e(static_cast<int>(tokens));
      std::vector<double> each, magnitude;
      for (int h = 0; h < s.kv_heads; ++h)
        for (std::size_t t = 0; t < tokens; ++t) {
          each.push_back(static_cast<double>(table[static_cast<std::size_t>((v * s.kv_heads + h) * longest) + t]));
          magnitude.push_back(std::abs(each.back()));
        }
      std::vector<double> all(each.size()), bounds(each.size());
      join(each, s.kv_heads, all);
      join(magnitude, s.kv_heads, bounds);
      for (std::size_t t = 0; t < tokens; ++t) {
        std::size_t const i = static_cast<std::size_t>(head) * tokens + t;
        e.score[t] = all[i];
        e.bound[t] = bounds[i] * support::gamma(s.kv_heads + 2);  // the sum's roundings, the division, one more sum
      }
      return e;
    };
    support::assert_plan(p, s, keep, expect, [](int) { return support::ends(0, 0); });
    for (int v = 0; alike && v < s.views(); ++v)
      for (int h = 1; h < s.kv_heads; ++h) {
        auto const a = p.plan.kept(v, 0), b = p.plan.kept(v, h);
        RC_ASSERT(std::equal(a.begin(), a.end(), b.begin(), b.end()));
      }
  });
}

// One row for all heads, repeated.
template <class Join>
auto repeated(Join const& join) {
  return [join](std::vector<double> const& each, int heads, std::vector<double>& all) {
    std::size_t const tokens = each.size() / static_cast<std::size_t>(heads);
    std::vector<double> row(tokens);
    join(each, heads, row);
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = row[i % tokens];
  };
}
}  // namespace

TEST_CASE("heads_mean: all heads of a layer keep the tokens with the largest mean") {
  CHECK(agrees_with_reference<kvsieve::aggregate::heads_mean>("heads_mean: the tokens with the largest mean", true,
                                                              repeated(kvsieve::reference::heads_mean)));
}
TEST_CASE("heads_sum: all heads of a layer keep the tokens with the largest sum") {
  CHECK(agrees_with_reference<kvsieve::aggregate::heads_sum>("heads_sum: the tokens with the largest sum", true,
                                                             repeated(kvsieve::reference::heads_sum)));
}
TEST_CASE("heads_own_and_mean: a head's own score and the mean of the layer") {
  CHECK(agrees_with_reference<kvsieve::aggregate::heads_own_and_mean>(
      "heads_own_and_mean: own and mean", false,
      [](auto const& each, int heads, auto& all) { kvsieve::reference::heads_own_and_mean(each, heads, all); }));
}
