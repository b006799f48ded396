// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "shapes.hpp"

using namespace kvsieve_test;

namespace {
void small() { rows_of_every_dimension<kvs::f16>({70, 1}); }

void all_dimensions() { rows_of_every_dimension<kvs::f16>({1, 511, 513, 2001}); }
}  // namespace

std::span<gpu_case const> kvsieve_test::rows_f16_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: rows of every head dimension, f16, small", "[gpu][plan][evict][sanitize]", small},
      {"GPU: rows of every head dimension, f16", "[gpu][plan][evict]", all_dimensions}};
  return all;
}
