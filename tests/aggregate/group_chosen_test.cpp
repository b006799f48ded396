// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A few query heads that speak for their layer: CompressKV.
#include <kvsieve/aggregate/group_chosen.hpp>
#include <kvsieve/reference/group_chosen.hpp>

#include <catch2/catch_all.hpp>

#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/presets.hpp>
#include <kvsieve/reference/attention.hpp>
#include <kvsieve/reference/average.hpp>
#include <kvsieve/reference/max.hpp>
#include <kvsieve/reference/sum.hpp>

#include "planned.hpp"

namespace {
namespace reference = kvsieve::reference;

/// Two layers of 3 KV heads and 6 query heads, each with chosen heads of its own.
template <class C, class Fold>
void agrees(Fold const& fold) {
  constexpr int tokens = 90, window = 8, chosen[] = {5, 0, 1, 2, 4, 3};
  std::vector<support::layer<float, 64>> layers;
  for (std::uint32_t v = 0; v < 2; ++v)
    layers.emplace_back(3, 2, tokens, window, support::layout::packed, support::content::normal, 7 + v);
  auto const p = support::make_plan<C>(1, layers,
                                       {.score = {.window = window},
                                        .group = {.heads = {chosen, 6}, .chosen = 3},
                                        .smooth = {.kernel = 5},
                                        .budget = {.keep = 0.5}});
  REQUIRE(p.plan);
  for (int v = 0; v < 2; ++v) {
    auto const& l = layers[static_cast<std::size_t>(v)];
    std::vector<double> each(6 * tokens), weights(window * tokens), score(tokens), pooled(tokens - window);
    for (int h = 0; h < 6; ++h) {
      reference::attention(l.queries.view(), h, l.keys.view(), h / 2, window, std::span(weights));
      fold(std::span<double const>(weights), window,
           std::span(each).subspan(static_cast<std::size_t>(h) * tokens, tokens));
    }
    reference::group_chosen(each, std::span(chosen).subspan(static_cast<std::size_t>(v) * 3, 3), score);
    reference::average_pool(std::span(score).first(pooled.size()), 5, pooled);
    for (int h = 0; h < 3; ++h) {
      auto const got = p.plan.scores(v, h);
      for (std::size_t t = 0; t < pooled.size(); ++t) {
        CAPTURE(v, h, t);
        CHECK(std::abs(static_cast<double>(got[t]) - pooled[t]) <= 1e-5 * pooled[t]);
      }
      auto const kept = p.plan.kept(v, h), first = p.plan.kept(v, 0);
      CHECK(std::equal(kept.begin(), kept.end(), first.begin(), first.end()));
    }
  }
}
}  // namespace

TEST_CASE("compress_kv is the mean over chosen query heads, one choice for the layer") {
  agrees<kvsieve::compress_kv<>>([](auto p, int observed, auto out) { reference::sum(p, observed, out); });
}

TEST_CASE("chosen query heads with an accumulator that is not linear") {
  agrees<kvsieve::compress_kv<kvsieve::aggregate::max>>(
      [](auto p, int observed, auto out) { reference::max(p, observed, out); });
}
