// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/random.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"

TEST_CASE("random: scores are a function of seed, head and token alone") {
  CHECK(support::holds("random: scores are a function of seed, head and token alone", 100, [] {
    auto const s = *support::shapes();
    double const keep = *support::fractions();
    auto const seed = *rc::gen::resize(1000, rc::gen::arbitrary<std::uint64_t>());
    support::with_combination<1>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      auto const p = support::make_plan<kvsieve::random<>>(s.executor, layers,
                                                           {.score = {.seed = seed}, .budget = {.keep = keep}});
      support::assert_plan(
          p, s, keep,
          [&](int v, int h) {
            support::expected e(s.tokens[static_cast<std::size_t>(v)]);
            kvsieve::reference::random(seed, static_cast<std::uint64_t>(v * s.kv_heads + h), e.score);
            return e;  // 24 bits: exact
          },
          [](int) { return support::ends(0, 0); });
    });
  }));
}

TEST_CASE("random: draws are spread evenly and heads differ") {
  std::vector<double> first(20000), second(20000);
  kvsieve::reference::random(0, 0, first);
  kvsieve::reference::random(0, 1, second);
  double mean = 0, product = 0;
  for (std::size_t t = 0; t < first.size(); ++t) {
    mean += first[t] / 20000;
    product += (first[t] - 0.5) * (second[t] - 0.5) / 20000;
    REQUIRE(first[t] >= 0);
    REQUIRE(first[t] < 1);
  }
  CHECK(std::abs(mean - 0.5) < 6 * std::sqrt(1.0 / 12 / 20000));  // six standard errors
  CHECK(std::abs(product) < 6.0 / 12 / std::sqrt(20000.0));
}
