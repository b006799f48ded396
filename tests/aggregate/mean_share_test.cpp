// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/mean_share.hpp>
#include <kvsieve/reference/mean_share.hpp>

#include "accumulators.hpp"

TEST_CASE("mean of shares over the queries is the reference's, for every way to join a group") {
  using policy = kvsieve::aggregate::mean_share;
  CHECK(aggregate_tests::agrees_with_reference<policy>(
      "mean of shares", {{}, {.as_source = true}},
      [](auto const& numbers) {
        return [numbers](auto p, int observed, auto score) {
          kvsieve::reference::mean_share(p, observed, numbers.as_source, score);
        };
      },
      [](auto const&) { return support::as_probabilities{}; }));
}
