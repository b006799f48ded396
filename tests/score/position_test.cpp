// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/position.hpp>
#include <kvsieve/score/blend.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"

TEST_CASE("position: one list for all heads, unless a weight or a draw differs from head to head") {
  using kvsieve::uniformity;
  CHECK(kvsieve::streaming_llm<>::uniformity_class == uniformity::U0);
  CHECK(kvsieve::streaming_llm<kvsieve::smooth::average>::uniformity_class == uniformity::U0);
  CHECK(kvsieve::streaming_llm<kvsieve::weigh::value_norm>::uniformity_class == uniformity::U1);
  CHECK(kvsieve::streaming_llm<kvsieve::select::gumbel>::uniformity_class == uniformity::U1);
  using weighed = kvsieve::score::blend<kvsieve::streaming_llm<>, kvsieve::streaming_llm<kvsieve::weigh::value_norm>>;
  using plain = kvsieve::score::blend<kvsieve::streaming_llm<>, kvsieve::streaming_llm<>>;
  CHECK(kvsieve::compressor<weighed>::uniformity_class == uniformity::U1);
  CHECK(kvsieve::compressor<plain>::uniformity_class == uniformity::U0);
}

TEST_CASE("position: the first tokens and the newest stay") {
  CHECK(support::holds("position: the first tokens and the newest stay", 100, [] {
    auto const s = *support::shapes();
    double const keep = *support::fractions();
    int const sink = *rc::gen::resize(100, rc::gen::inRange(0, 10));
    support::with_combination<1>(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      auto const p = support::make_plan<kvsieve::streaming_llm<>>(s.executor, layers,
                                                                  {.score = {.sink = sink}, .budget = {.keep = keep}});
      support::assert_plan(
          p, s, keep,
          [&](int v, int) {
            support::expected e(s.tokens[static_cast<std::size_t>(v)]);
            kvsieve::reference::position(e.score);
            return e;  // whole numbers: exact
          },
          [&](int) { return support::ends(sink, 0); });
    });
  }));
}
