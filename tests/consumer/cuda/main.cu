// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/version.hpp>

#include <cub/block/block_reduce.cuh>

#include <cstdio>

__global__ void sum(int const* in, int* out) {
  using reduce = cub::BlockReduce<int, 32>;
  __shared__ typename reduce::TempStorage storage;
  int const total = reduce(storage).Sum(in[threadIdx.x]);
  if (threadIdx.x == 0) *out = total;
}

// Compiled and linked everywhere; the kernel is not launched, so this runs without a GPU too.
int main() { std::printf("kvsieve %s, CUDA runtime %d\n", kvsieve::version, CUDART_VERSION); }
