// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/key_norm.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace {
// The squares are off by gamma(D), the root halves that and adds a rounding: gamma(D) of the score holds both. Squares
// below the range of float count as 0, which is a norm below 1e-19.
template <int D>
support::expected reference_of(auto const& layer, int head) {
  support::expected e(layer.keys.tokens());
  kvsieve::reference::key_norm(layer.keys.view(), head, e.score);
  for (std::size_t t = 0; t < e.score.size(); ++t) e.bound[t] = support::gamma(D) * std::abs(e.score[t]) + 1e-19;
  return e;
}
}  // namespace

TEST_CASE("key_norm: scores and kept tokens are the reference's") {
  CHECK(support::holds("key_norm: scores and kept tokens are the reference's", 150, [] {
    auto const s = *support::shapes();
    double const keep = *support::fractions();
    support::with_combination(s.combination, [&]<class T, int D, bool Strided>() {
      auto const layers = support::make_layers<T, D, Strided>(s, [](int) { return 1; });
      auto const p = support::make_plan<kvsieve::key_norm<>>(s.executor, layers, {.budget = {.keep = keep}});
      support::assert_plan(
          p, s, keep, [&](int v, int h) { return reference_of<D>(layers[static_cast<std::size_t>(v)], h); },
          [](int) { return support::ends(0, 0); });
    });
  }));
}
