// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One property for what happens to scores after they were made: a strategy with the stage under test gives what the
// reference makes of the scores of the same strategy without it.
#pragma once
#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace support {

/// Runs SnapKV's scores with and without `Stage`. `apply(layer, scores)` is the reference, on a vector for each head of
/// a view, tokens before the window; `bound(want, had, layer_largest)` how far float may be from it.
template <class Stage, class T, int D, class Params, class Apply, class Bound>
void check_after_score(shape const& s, int window, Params const& set, Apply const& apply, Bound const& bound) {
  using with = kvsieve::compressor<kvsieve::score::attention<kvsieve::observe::window>, Stage>;
  using without = kvsieve::compressor<kvsieve::score::attention<kvsieve::observe::window>>;
  auto const layers = make_layers<T, D, false>(s, [&](int) { return window; });
  typename with::params params{.score = {.window = window}};
  set(params);
  auto const p = make_plan<with>(s.executor, layers, params);
  auto const plain = make_plan<without>(s.executor, layers, {.score = {.window = window}});
  RC_ASSERT(static_cast<bool>(p.plan));
  RC_ASSERT(static_cast<bool>(plain.plan));
  RC_ASSERT(p.memory.guards_hold());
  for (int v = 0; v < s.views(); ++v) {
    auto const scored = static_cast<std::size_t>(s.tokens[static_cast<std::size_t>(v)] - window);
    std::vector<std::vector<double>> had, want;
    double largest = 0;
    for (int h = 0; h < s.kv_heads; ++h) {
      auto const row = plain.plan.scores(v, h);
      had.emplace_back(row.begin(), row.begin() + static_cast<std::ptrdiff_t>(scored));
      for (double const x : had.back())
        if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
    }
    want = had;
    apply(layers[static_cast<std::size_t>(v)], want);
    for (int h = 0; h < s.kv_heads; ++h) {
      auto const got = p.plan.scores(v, h);
      for (std::size_t t = 0; t < scored; ++t) {
        double const x = got[t], y = want[static_cast<std::size_t>(h)][t];
        if (std::isnan(y))
          RC_ASSERT(std::isnan(x));
        else
          RC_ASSERT(std::abs(x - y) <= bound(y, had[static_cast<std::size_t>(h)][t], largest));
      }
      for (std::size_t t = scored; t < got.size(); ++t) RC_ASSERT(got[t] == HUGE_VALF);
    }
  }
}
}  // namespace support
