// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/aggregate/count_above.hpp>
#include <kvsieve/reference/count_above.hpp>

#include "accumulators.hpp"
#include "refusal.hpp"

TEST_CASE("count_above over the queries is the reference's, for every way to join a group") {
  auto const fold = [](auto const& numbers) {
    return [threshold = static_cast<double>(numbers.threshold)](auto p, int observed, auto score) {
      kvsieve::reference::count_above(p, observed, threshold, score);
    };
  };
  CHECK(aggregate_tests::agrees_with_reference<kvsieve::aggregate::count_above>(
      "count_above over the queries", {{}, {.threshold = 0.5f}, {.threshold = 3.0f}, {.threshold = 1e-15f}}, fold,
      [&](auto const& numbers) { return aggregate_tests::monotone(fold(numbers)); }));
}

TEST_CASE("count_above refuses a threshold that is not positive") {
  using above = kvsieve::aggregate::count_above::params;
  support::check_refused(above{.threshold = 0.0f}.check(), kvsieve::errc::bad_params,
                         {"aggregate.threshold is 0", "at least 1e-20"});
  support::check_refused(above{.threshold = NAN}.check(), kvsieve::errc::bad_params, {"aggregate.threshold is nan"});
}
