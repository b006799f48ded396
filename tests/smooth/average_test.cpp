// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/reference/average.hpp>

#include <string>

#include "pools.hpp"

TEST_CASE("average: pooled scores are the reference's") {
  CHECK(smooth_tests::agrees_with_reference<kvsieve::smooth::average>("average: pooled scores are the reference's",
                                                                      kvsieve::reference::average_pool,
                                                                      [](int kernel) { return kernel; }));
}

TEST_CASE("smooth::average_by: the average pool with a default of its own") {
  using three = kvsieve::smooth::average_by<3>;
  float const score[] = {3, 6, 9, 0, 12};
  CHECK(three::params{}.kernel == 3);
  CHECK(three::pooled({}, score, 5, 0) == 3);
  CHECK(three::pooled({}, score, 5, 2) == 5);
  CHECK(three::pooled({.kernel = 5}, score, 5, 2) == 6);
  CHECK(three::params{.kernel = 1}.check());
  CHECK(std::string(three::params{.kernel = 4}.check().argument) == "smooth.kernel");
}
