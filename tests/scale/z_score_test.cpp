// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/z_score.hpp>
#include <kvsieve/scale/z_score.hpp>

#include "after_score.hpp"

TEST_CASE("scale::z_score: standard deviations from the layer's mean") {
  CHECK(support::holds("scale::z_score: standard deviations from the layer's mean", 60, [] {
    auto const s = *support::shapes(1, 400);
    int const window = *rc::gen::resize(100, rc::gen::inRange(1, s.shortest() + 1));
    double deviation = 0;
    support::check_after_score<kvsieve::scale::z_score, float, 64>(
        s, window, [](auto&) {},
        [&](auto const&, auto& rows) {
          std::vector<double> all;
          for (auto const& row : rows) all.insert(all.end(), row.begin(), row.end());
          std::vector<double> const had = all;
          kvsieve::reference::z_score(all);
          // What the reference divided by, for the bound.
          double low = HUGE_VAL, high = -HUGE_VAL, z_low = 0, z_high = 0;
          for (std::size_t i = 0; i < had.size(); ++i) {
            if (had[i] < low) low = had[i], z_low = all[i];
            if (had[i] > high) high = had[i], z_high = all[i];
          }
          deviation = high > low ? (high - low) / (z_high - z_low) : 1e-6;
          std::size_t at = 0;
          for (auto& row : rows)
            for (double& x : row) x = all[at++];
        },
        // Mean and deviation are rounded once, then a difference and a quotient.
        [&](double want, double had, double largest) {
          return 2 * support::u * (std::abs(had) + largest) / deviation + 4 * support::u * std::abs(want);
        });
  }));
}
