// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "gpu_shapes.hpp"

using namespace kvsieve_test;

TEST_CASE("GPU: rows of every head dimension, bf16, small", "[gpu][plan][evict][sanitize]") {
  rows_of_every_dimension<kvs::bf16>({70, 1});
}

TEST_CASE("GPU: rows of every head dimension, bf16", "[gpu][plan][evict]") {
  rows_of_every_dimension<kvs::bf16>({1, 511, 513, 2001});
}
