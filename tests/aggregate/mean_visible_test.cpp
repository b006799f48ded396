// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/mean_visible.hpp>

#include "accumulators.hpp"

TEST_CASE("mean_visible over the queries is the reference's, for every way to join a group") {
  CHECK(aggregate_tests::agrees_with_reference<kvsieve::aggregate::mean_visible>(
      "mean_visible over the queries",
      [](auto p, int observed, auto score) { kvsieve::reference::mean_visible(p, observed, score); }));
}
