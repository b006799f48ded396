// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores of queries and of chunks for every head dimension on a real GPU: the host makes the same plan.
#include "plan.hpp"

using namespace kvsieve_test;

namespace {
template <class T, int D>
void queries_and_chunks_of(std::vector<int> const& lengths) {
  CAPTURE(D, sizeof(T));
  grouped_cache<T, D> const c(2, 3, lengths, 6);
  same_as_host<kvs::snap_kv<>>(c, {.score = {.window = 20}, .budget = {.keep = 0.4}});
  // Ranks of two shares that are equal up to rounding may be exchanged.
  same_as_host<kvs::lag_kv<>>(c, {.score = {.sink = 4, .lag = 32}, .budget = {.keep = 0.5}}, {1.01 / 32, 1});
}

void small() {
  queries_and_chunks_of<float, 64>({150, 21});
  queries_and_chunks_of<kvs::bf16, 96>({131});
}

void every_dimension() {
  queries_and_chunks_of<float, 64>({20, 777, 1500});
  queries_and_chunks_of<kvs::f16, 80>({20, 777, 1500});
  queries_and_chunks_of<kvs::bf16, 96>({20, 777, 1500});
  queries_and_chunks_of<kvs::f16, 128>({20, 777, 1500});
  queries_and_chunks_of<kvs::bf16, 256>({20, 777, 1500});
}
}  // namespace

std::span<gpu_case const> kvsieve_test::chunk_cases() {
  static constexpr gpu_case all[] = {
      {"GPU: queries and chunks, small", "[gpu][plan][sanitize]", small},
      {"GPU: queries and chunks of every head dimension", "[gpu][plan]", every_dimension}};
  return all;
}
