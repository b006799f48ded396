// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <cstring>

#include <catch2/catch_all.hpp>

#include "planned.hpp"
#include "scripted.hpp"

TEST_CASE("none: scores reach selection as they are") {
  using strategy = kvsieve::compressor<support::scripted>;
  std::vector<float> const table{3.0f, -0.0f, NAN, HUGE_VALF, -HUGE_VALF, 0x1p-149f, 7.0f};
  support::shape s;
  s.tokens = {7};
  auto const layers = support::make_layers<float, 64, false>(s, [](int) { return 1; });
  auto const p =
      support::make_plan<strategy>(0, layers, {.score = {.table = table.data(), .stride = 7}, .budget = {.tokens = 3}});
  REQUIRE(p.plan);
  auto const scores = p.plan.scores(0, 0);
  CHECK(std::memcmp(scores.data(), table.data(), sizeof(float) * table.size()) == 0);
  auto const kept = p.plan.kept(0, 0);
  CHECK(std::vector<int>(kept.begin(), kept.end()) == std::vector<int>{0, 3, 6});
}
