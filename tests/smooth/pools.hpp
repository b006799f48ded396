// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One property for both pools: scores written down by the test, among them NaN and the infinities.
#pragma once
#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "scripted.hpp"
#include "tolerance.hpp"

namespace smooth_tests {

/// `pool(score, kernel, pooled)` is the reference; `roundings(kernel)` how many it may differ by.
template <class Policy, class Pool, class Roundings>
bool agrees_with_reference(char const* what, Pool const& pool, Roundings const& roundings) {
  using strategy = kvsieve::compressor<support::scripted, Policy>;
  return support::holds(what, 150, [&] {
    auto const s = *support::shapes(1, 3001);
    double const keep = *support::fractions();
    int const kernel = *rc::gen::element(1, 3, 5, 7, 31);
    int const longest = *std::max_element(s.tokens.begin(), s.tokens.end());
    int const tail = *rc::gen::resize(100, rc::gen::inRange(0, s.shortest() + 1));  // unscored, as a window is
    int const sink = *rc::gen::element(0, 0, 3);
    std::mt19937 random(s.seed);
    std::normal_distribution<float> normal;
    float const awkward[] = {NAN, HUGE_VALF, -HUGE_VALF, 0.0f, 0x1p-149f};
    std::vector<float> table(static_cast<std::size_t>(s.views() * s.kv_heads * longest));
    for (float& x : table)
      x = s.what == support::content::non_finite && random() % 6 == 0 ? awkward[random() % std::size(awkward)]
                                                                      : normal(random);
    auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 1; });
    auto const p = support::make_plan<strategy>(s.executor, layers,
                                                {.score = {.table = table.data(), .stride = longest, .ends = {0, tail}},
                                                 .smooth = {.kernel = kernel},
                                                 .budget = {.keep = keep},
                                                 .select = {.sink = sink}});
    auto const expect = [&](int v, int h) {
      int const tokens = s.tokens[static_cast<std::size_t>(v)];
      auto const scored = static_cast<std::size_t>(tokens - tail);
      std::vector<double> raw, magnitude;
      for (std::size_t t = 0; t < scored; ++t) {
        raw.push_back(static_cast<double>(table[static_cast<std::size_t>((v * s.kv_heads + h) * longest) + t]));
        magnitude.push_back(std::abs(raw.back()));
      }
      support::expected e(tokens);
      pool(std::span<double const>(raw), kernel, std::span(e.score).first(scored));
      pool(std::span<double const>(magnitude), kernel, std::span(e.bound).first(scored));
      for (double& b : e.bound) b *= support::gamma(roundings(kernel));
      for (double& b : e.bound) b += roundings(kernel) > 0 ? 0x1p-149 : 0;  // a division may fall below the range
      return e;
    };
    support::assert_plan(p, s, keep, expect, [&](int) { return support::ends(sink, tail); });
  });
}
}  // namespace smooth_tests
