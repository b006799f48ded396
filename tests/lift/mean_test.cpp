// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/lift/mean.hpp>
#include <kvsieve/reference/lift_mean.hpp>

#include "after_score.hpp"

TEST_CASE("lift::mean: no token counts less than its head's mean") {
  CHECK(support::holds("lift::mean: no token counts less than its head's mean", 60, [] {
    auto const s = *support::shapes(1, 400);
    int const window = *rc::gen::resize(100, rc::gen::inRange(1, s.shortest() + 1));
    support::check_after_score<kvsieve::lift::mean, float, 64>(
        s, window, [](auto&) {},
        [](auto const&, auto& rows) {
          for (auto& row : rows) kvsieve::reference::lift_mean(row);
        },
        // The mean is formed in double and rounded once.
        [](double want, double, double) { return 2 * support::u * std::abs(want) + 0x1p-149; });
  }));
}
