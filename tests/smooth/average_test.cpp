// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/average.hpp>

#include "pools.hpp"

TEST_CASE("average: pooled scores are the reference's") {
  CHECK(smooth_tests::agrees_with_reference<kvsieve::smooth::average>("average: pooled scores are the reference's",
                                                                      kvsieve::reference::average_pool,
                                                                      [](int kernel) { return kernel; }));
}
