// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/position.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"

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
