// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/version.hpp>

#include <cuda/std/mdspan>

#include <cstdio>

int main() {
  float data[6] = {};
  cuda::std::mdspan<float, cuda::std::extents<int, 2, 3>> const view(data);
  std::printf("kvsieve %s, %d x %d\n", kvsieve::version, view.extent(0), view.extent(1));
}
