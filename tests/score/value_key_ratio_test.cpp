// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/value_key_ratio.hpp>
#include <kvsieve/score/value_key_ratio.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

using ratio = kvsieve::compressor<kvsieve::score::value_key_ratio>;

TEST_CASE("value_key_ratio: scores and kept tokens are the reference's") {
  CHECK(support::holds("value_key_ratio: scores and kept tokens are the reference's", 80, [] {
    auto const s = *support::shapes();
    double const keep = *support::fractions();
    support::with_combination<4>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      auto const p = support::make_plan<ratio>(s.executor, layers, {.budget = {.keep = keep}});
      // Each norm is off by gamma(D), the quotient adds a rounding. Values whose squares are below the range of float
      // count as 0, which the smallest divisor, 1e-6, makes 1e-12.
      auto const expect = [&](int v, int h) {
        auto const& l = layers[static_cast<std::size_t>(v)];
        support::expected e(l.keys.tokens());
        kvsieve::reference::value_key_ratio(l.keys.view(), l.values.view(), h, e.score);
        for (std::size_t t = 0; t < e.score.size(); ++t) e.bound[t] = support::gamma(2 * D + 2) * e.score[t] + 1e-12;
        return e;
      };
      support::assert_plan(p, s, keep, expect, [](int) { return support::ends(0, 0); });
    });
  }));
}

TEST_CASE("value_key_ratio: a zero key divides by a millionth") {
  support::layer<float, 64> l(1, 1, 20, 1, support::layout::packed, support::content::normal, 1);
  for (int d = 0; d < 64; ++d) {
    l.keys.set(0, 3, d, 0.0f);
    l.values.set(0, 3, d, d == 0 ? 2.0f : 0.0f);
    l.values.set(0, 4, d, 0.0f);
  }
  std::vector<support::layer<float, 64>> const layers{l};
  auto const p = support::make_plan<ratio>(0, layers, {});
  REQUIRE(p.plan);
  CHECK(p.plan.scores(0, 0)[3] == 2.0f / 1e-6f);
  CHECK(p.plan.scores(0, 0)[4] == 0.0f);
}
