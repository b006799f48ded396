// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/max.hpp>

#include "accumulators.hpp"

TEST_CASE("max over the queries is the reference's, for every way to join a group") {
  CHECK(aggregate_tests::agrees_with_reference<kvsieve::aggregate::max>(
      "max over the queries", [](auto p, int observed, auto score) { kvsieve::reference::max(p, observed, score); }));
}
