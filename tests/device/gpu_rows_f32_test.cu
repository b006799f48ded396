// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "gpu_shapes.hpp"

using namespace kvsieve_test;

TEST_CASE("GPU: rows of every head dimension, f32, small", "[gpu][plan][evict][sanitize]") {
  rows_of_every_dimension<float>({70, 1});
}

TEST_CASE("GPU: rows of every head dimension, f32", "[gpu][plan][evict]") {
  rows_of_every_dimension<float>({1, 511, 513, 2001});
}
