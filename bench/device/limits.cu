// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "limits.hpp"

#include <cstdint>

#include "gpu.hpp"

namespace kvsieve::bench::gpu {
namespace {
constexpr int threads = 512, deep = 8;

__global__ void read(uint4 const* from, std::size_t count, unsigned* out) {
  unsigned sum = 0;
  std::size_t const step = std::size_t{gridDim.x} * threads;
  std::size_t i = std::size_t{blockIdx.x} * threads + threadIdx.x;
  for (; i + (deep - 1) * step < count; i += deep * step) {
    uint4 x[deep];
#pragma unroll
    for (int j = 0; j < deep; ++j) x[j] = from[i + static_cast<unsigned>(j) * step];
#pragma unroll
    for (int j = 0; j < deep; ++j) sum += x[j].x ^ x[j].y ^ x[j].z ^ x[j].w;
  }
  for (; i < count; i += step) sum += from[i].x ^ from[i].y ^ from[i].z ^ from[i].w;
  if (sum == 0x9e3779b9u) *out = sum;  // so that the loads stay
}

__global__ void copy(uint4 const* from, uint4* to, std::size_t count) {
  std::size_t const step = std::size_t{gridDim.x} * threads;
  std::size_t i = std::size_t{blockIdx.x} * threads + threadIdx.x;
  for (; i + 3 * step < count; i += 4 * step) {
    uint4 x[4];
#pragma unroll
    for (int j = 0; j < 4; ++j) x[j] = from[i + static_cast<unsigned>(j) * step];
#pragma unroll
    for (int j = 0; j < 4; ++j) to[i + static_cast<unsigned>(j) * step] = x[j];
  }
  for (; i < count; i += step) to[i] = from[i];
}

constexpr int sums = 16, turns = 4096;

__global__ void multiply_add(float a, float b, float* out) {
  float x[sums];
#pragma unroll
  for (int j = 0; j < sums; ++j) x[j] = static_cast<float>(threadIdx.x + static_cast<unsigned>(j));
#pragma unroll 4
  for (int i = 0; i < turns; ++i) {
#pragma unroll
    for (int j = 0; j < sums; ++j) x[j] = fmaf(x[j], a, b);
  }
  float all = 0;
#pragma unroll
  for (int j = 0; j < sums; ++j) all += x[j];
  if (all == 1.2345f) *out = all;
}

constexpr int tiles = 8;

/// 16 x 8 x 16 products of bf16 with f32 sums, `tiles` of them independent.
__global__ void tensor_products(unsigned seed, float* out) {
  float c[tiles][4] = {};
  unsigned const a[4] = {seed, seed + threadIdx.x, seed, seed}, b[2] = {seed, seed};
#pragma unroll 2
  for (int i = 0; i < turns; ++i) {
#pragma unroll
    for (int t = 0; t < tiles; ++t) {
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%0, %1, %2, %3};"
          : "+f"(c[t][0]), "+f"(c[t][1]), "+f"(c[t][2]), "+f"(c[t][3])
          : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
    }
  }
  float all = 0;
#pragma unroll
  for (int t = 0; t < tiles; ++t) all += c[t][0] + c[t][1] + c[t][2] + c[t][3];
  if (all == 1.2345f) *out = all;
}

__global__ void nothing() {}

limits measure() {
  int processors = 0;
  must(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0), "cudaDeviceGetAttribute");
  constexpr std::size_t bytes = std::size_t{1} << 30, count = bytes / sizeof(uint4);
  memory const from(bytes), to(bytes), out(sizeof(float));
  must(cudaMemset(from.as<void>(), 0x5a, bytes), "cudaMemset");
  must(cudaMemset(to.as<void>(), 0, bytes), "cudaMemset");
  must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
  auto const blocks = static_cast<unsigned>(processors);
  auto const best_of = [](auto const& f) {
    spread const s = time_calls([&](int) {
      f();
      must(cudaPeekAtLastError(), "launch");
    });
    return s.median;
  };
  limits l{};
  // Which grid reads and copies best differs from card to card.
  for (unsigned const per : {2u, 4u, 16u, 64u}) {
    l.read =
        std::max(l.read, bytes / best_of([&] {
                           read<<<blocks * per, threads, 0, stream()>>>(from.as<uint4>(), count, out.as<unsigned>());
                         }));
    l.copy = std::max(l.copy, 2.0 * bytes / best_of([&] {
                                copy<<<blocks * per, threads, 0, stream()>>>(from.as<uint4>(), to.as<uint4>(), count);
                              }));
  }
  l.ffma = 2.0 * sums * turns * threads * 4.0 * processors /
           best_of([&] { multiply_add<<<blocks * 4, threads, 0, stream()>>>(0.999f, 0.001f, out.as<float>()); });
  l.tensor = 2.0 * 16 * 8 * 16 * tiles * turns * (threads / 32) * 2.0 * processors /
             best_of([&] { tensor_products<<<blocks * 2, threads, 0, stream()>>>(0x3f803f80u, out.as<float>()); });
  l.launch = best_of([&] { nothing<<<1, 32, 0, stream()>>>(); });
  return l;
}
}  // namespace

limits const& measured_limits() {
  static limits const once = measure();
  return once;
}
}  // namespace kvsieve::bench::gpu
