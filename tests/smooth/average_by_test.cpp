// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/smooth/average_by.hpp>

#include <string>

#include <catch2/catch_all.hpp>

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
