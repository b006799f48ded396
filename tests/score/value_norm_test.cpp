// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/value_norm.hpp>
#include <kvsieve/score/value_norm.hpp>

#include <algorithm>
#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

TEST_CASE("score::value_norm: scores and kept tokens are the reference's") {
  CHECK(support::holds("score::value_norm: scores and kept tokens are the reference's", 60, [] {
    auto const s = *support::shapes();
    double const keep = *support::fractions();
    support::with_combination<4>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      auto const p = support::make_plan<kvsieve::compressor<kvsieve::score::value_norm>>(s.executor, layers,
                                                                                         {.budget = {.keep = keep}});
      // The squares are off by gamma(D), the root halves that and adds a rounding; squares below the range count as 0.
      auto const expect = [&](int v, int h) {
        auto const& l = layers[static_cast<std::size_t>(v)];
        support::expected e(l.values.tokens());
        std::fill(e.score.begin(), e.score.end(), 1.0);
        kvsieve::reference::value_norm(l.values.view(), h, 0.0, e.score);
        for (std::size_t t = 0; t < e.score.size(); ++t) e.bound[t] = support::gamma(D) * e.score[t] + 1e-18;
        return e;
      };
      support::assert_plan(p, s, keep, expect, [](int) { return support::ends(0, 0); });
    });
  }));
}
