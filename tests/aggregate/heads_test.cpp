// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/heads.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "scripted.hpp"
#include "tolerance.hpp"

TEST_CASE("heads_mean: all heads of a layer keep the tokens with the largest mean") {
  using strategy = kvsieve::compressor<support::scripted, kvsieve::aggregate::heads_mean>;
  CHECK(support::holds("heads_mean: all heads keep the tokens with the largest mean", 100, [] {
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
    auto const expect = [&](int v, int) {
      auto const tokens = static_cast<std::size_t>(s.tokens[static_cast<std::size_t>(v)]);
      support::expected e(static_cast<int>(tokens));
      std::vector<double> each, magnitude;
      for (int h = 0; h < s.kv_heads; ++h)
        for (std::size_t t = 0; t < tokens; ++t) {
          each.push_back(static_cast<double>(table[static_cast<std::size_t>((v * s.kv_heads + h) * longest) + t]));
          magnitude.push_back(std::abs(each.back()));
        }
      kvsieve::reference::heads_mean(each, s.kv_heads, e.score);
      kvsieve::reference::heads_mean(magnitude, s.kv_heads, e.bound);
      for (double& b : e.bound) b *= support::gamma(s.kv_heads + 1);  // the sum's roundings and the division
      return e;
    };
    support::assert_plan(p, s, keep, expect, [](int) { return support::ends(0, 0); });
    for (int v = 0; v < s.views(); ++v)
      for (int h = 1; h < s.kv_heads; ++h) {
        auto const a = p.plan.kept(v, 0), b = p.plan.kept(v, h);
        RC_ASSERT(std::equal(a.begin(), a.end(), b.begin(), b.end()));
      }
  }));
}
