// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/reference/root_mean_square.hpp>

#include "accumulators.hpp"

TEST_CASE("root_mean_square over the queries is the reference's, for every way to join a group") {
  // Squares of what is below 2^-63 are 0 or lose digits.
  auto const slack = [](auto const&) {
    return [](std::span<double const>, int, double relative, std::span<double const> score, std::span<double> bound) {
      for (std::size_t t = 0; t < score.size(); ++t) bound[t] = relative * std::abs(score[t]) + 0x1p-60;
    };
  };
  CHECK(aggregate_tests::agrees_with_reference<kvsieve::aggregate::root_mean_square>(
      "root_mean_square over the queries", {{}},
      [](auto const&) {
        return [](auto p, int observed, auto score) { kvsieve::reference::root_mean_square(p, observed, score); };
      },
      slack));
}
