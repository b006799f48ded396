// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// PagedEviction as a preset: its token score, the mean over the heads, whole pages.
#include <kvsieve/reference/pages.hpp>
#include <kvsieve/reference/value_key_ratio.hpp>

#include <catch2/catch_all.hpp>

#include "planned.hpp"

TEST_CASE("paged_eviction keeps the pages of the largest mean ratio, the first and the newest") {
  for (unsigned const seed : {1u, 2u, 3u})
    for (int const tokens : {1, 15, 16, 17, 200, 333}) {
      CAPTURE(seed, tokens);
      std::vector<support::layer<float, 64>> layers;
      layers.emplace_back(3, 1, tokens, 1, support::layout::packed, support::content::normal, seed);
      auto const p = support::make_plan<kvsieve::paged_eviction<>>(0, layers, {.budget = {.keep = 0.4}});
      REQUIRE(p.plan);
      std::vector<double> mean(static_cast<std::size_t>(tokens)), one(mean.size());
      for (int h = 0; h < 3; ++h) {
        kvsieve::reference::value_key_ratio(layers[0].keys.view(), layers[0].values.view(), h, one);
        for (std::size_t t = 0; t < one.size(); ++t) mean[t] += one[t] / 3;
      }
      auto const want = kvsieve::reference::pages(mean, 16, static_cast<int>(tokens * 0.4), {1, 0, {}});
      for (int h = 0; h < 3; ++h) {
        auto const kept = p.plan.kept(0, h);
        CHECK(std::vector<int>(kept.begin(), kept.end()) == want);
      }
    }
}
