// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/max.hpp>

#include "pools.hpp"

TEST_CASE("max: pooled scores are the reference's, exactly") {
  CHECK(smooth_tests::agrees_with_reference<kvsieve::smooth::max>("max: pooled scores are the reference's",
                                                                  kvsieve::reference::max_pool, [](int) { return 0; }));
}
