// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "pool.hpp"

#include <cstdint>

namespace kvsieve::bench::gpu {
namespace {
__device__ std::uint32_t mixed(std::uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ x >> 16;
}

template <class T>
__global__ void normal(T* to, std::size_t count) {
  std::size_t const step = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) {
    auto const low = static_cast<std::uint32_t>(i), high = static_cast<std::uint32_t>(i >> 32);
    std::uint32_t const a = mixed(low ^ mixed(high + 1)), b = mixed(a + 0x9e3779b9u);
    float const radius = sqrtf(-2.0f * logf((static_cast<float>(a >> 8) + 0.5f) * 0x1p-24f));
    float const x = radius * cospif(2.0f * static_cast<float>(b >> 8) * 0x1p-24f);
    to[i] = from_float<T>(x + 0.3f * static_cast<float>(i % head_dim % 3));
  }
}

template <class T>
void fill_with_normal(T* to, std::size_t count) {
  normal<<<2048, 256, 0, stream()>>>(to, count);
  must(cudaPeekAtLastError(), "launch");
  wait();
}
}  // namespace

void fill(float* to, std::size_t count) { fill_with_normal(to, count); }
void fill(bf16* to, std::size_t count) { fill_with_normal(to, count); }
}  // namespace kvsieve::bench::gpu
