// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The block of a CUDA kernel: CUB's collectives over the block, shuffles inside a tile.
#pragma once
#include <cub/block/block_reduce.cuh>
#include <cub/block/block_scan.cuh>

#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// `Width` neighbouring lanes of a warp. Only they take part, so tiles of one warp may go different ways.
template <int Width>
struct cuda_tile {
  static_assert(Width >= 1 && Width <= 32 && (Width & (Width - 1)) == 0, "a tile is a power of two up to a warp");
  static constexpr int width = Width;

  __device__ int rank() const { return static_cast<int>(threadIdx.x) & (Width - 1); }
  __device__ int index() const { return static_cast<int>(threadIdx.x) / Width; }
  __device__ float all_sum(float x) const {
    unsigned const members = mask();
    KVSIEVE_UNROLL for (int step = Width / 2; step > 0; step /= 2) x += __shfl_xor_sync(members, x, step, Width);
    return x;
  }
  __device__ float all_max(float x) const {
    unsigned const members = mask();
    KVSIEVE_UNROLL for (int step = Width / 2; step > 0; step /= 2) {
      x = fmaxf(x, __shfl_xor_sync(members, x, step, Width));
    }
    return x == x ? x : -__builtin_inff();
  }

 private:
  __device__ static unsigned mask() {
    constexpr unsigned all = 0xffffffffu >> (32 - Width);
    return all << (threadIdx.x & 31u & ~static_cast<unsigned>(Width - 1));
  }
};

/// One-dimensional block of `Threads` threads.
template <int Threads>
struct cuda_block {
  static_assert(Threads % 32 == 0, "a block is whole warps");
  static constexpr int threads = Threads;
  using scan = cub::BlockScan<unsigned, Threads>;
  using reduce = cub::BlockReduce<float, Threads>;
  using scan_storage = typename scan::TempStorage;
  struct reduce_storage {
    typename reduce::TempStorage parts;
    float result;
  };

  __device__ int rank() const { return static_cast<int>(threadIdx.x); }
  __device__ void sync() { __syncthreads(); }
  __device__ unsigned atomic_add(unsigned& x, unsigned v) { return atomicAdd(&x, v); }
  __device__ unsigned exclusive_sum(unsigned x, unsigned& total, scan_storage& s) {
    unsigned before;
    scan(s).ExclusiveSum(x, before, total);
    __syncthreads();
    return before;
  }
  __device__ float all_sum(float x, reduce_storage& s) { return share(reduce(s.parts).Sum(x), s); }
  __device__ float all_max(float x, reduce_storage& s) { return share(reduce(s.parts).Reduce(x, larger{}), s); }
  template <int Width>
  __device__ cuda_tile<Width> tile() const {
    return {};
  }
  template <element T>
  __device__ void multiply_add(cs::uint16_t const* a, cs::uint16_t const* b, int stride, float (&product)[4][4]) {
    static_assert(sizeof(T) == 2);
    int const lane = static_cast<int>(threadIdx.x) & 31;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    unsigned x[4], y[4];
    load_matrices(a + (lane & 15) * stride + (lane >> 4) * 8, x);
    KVSIEVE_UNROLL for (int n = 0; n < 4; n += 2) {
      load_matrices(b + (8 * n + (lane >> 4) * 8 + (lane & 7)) * stride + (lane >> 3 & 1) * 8, y);
      multiply<T>(x, y[0], y[1], product[n]);
      multiply<T>(x, y[2], y[3], product[n + 1]);
    }
#else
    multiply_add_lane<T>(lane, a, b, stride, product);
#endif
  }

 private:
  struct larger {
    __device__ float operator()(float a, float b) const {
      float const m = fmaxf(a, b);
      return m == m ? m : -__builtin_inff();
    }
  };
  // Four matrices of 8 x 8: lanes 8 m to 8 m + 7 give the addresses of the rows of matrix m.
  __device__ static void load_matrices(cs::uint16_t const* row, unsigned (&x)[4]) {
    unsigned const at = static_cast<unsigned>(__cvta_generic_to_shared(row));
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3])
                 : "r"(at)
                 : "memory");
  }
  template <element T>
  __device__ static void multiply(unsigned const (&x)[4], unsigned y0, unsigned y1, float (&sum)[4]) {
    if constexpr (cs::is_same_v<T, f16>)
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%0, %1, %2, %3};"
          : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
          : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y0), "r"(y1));
    else
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%0, %1, %2, %3};"
          : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
          : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y0), "r"(y1));
  }
  __device__ static float share(float x, reduce_storage& s) {
    if (threadIdx.x == 0) s.result = x;
    __syncthreads();
    x = s.result;
    __syncthreads();
    return x;
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
