// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The executor of the device: a stream of the caller's. There is no default stream.
#pragma once
#include <cuda_runtime_api.h>

#include <kvsieve/core/status.hpp>
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/cuda_block.cuh>

// A policy of an unnamed namespace makes kernels that are hidden already, of which nvcc warns where they are made.
#ifdef __NVCC__
#pragma nv_diag_suppress 1407
#endif

namespace kvsieve::inline v0 {
namespace device {

/// A number made of the architectures that a translation unit is compiled for, and of whether it checks pointers. It is
/// part of the name of every kernel and launcher, and by the type of `on` of all that launches, so that code compiled
/// for different ones links together.
template <int... Arch>
[[nodiscard]] constexpr unsigned build_tag() {
  unsigned tag = KVSIEVE_CHECK_POINTERS;
  ((tag = (tag ^ static_cast<unsigned>(Arch)) * 2654435761u), ...);
  return tag;
}
/// Every kernel of the library: a block, its shared memory, one body. Hidden, so that each library that is made with
/// kvsieve keeps its own.
template <class Body, int Threads, class Args, unsigned Build>
__attribute__((visibility("hidden"))) __global__ void __launch_bounds__(Threads, 1)
    run_body(__grid_constant__ Args const args) {
  using block_type = cuda_block<Threads>;
  __shared__ typename Body::template shared<block_type> memory;
  block_type b;
  Body::run(b, args, work{static_cast<int>(blockIdx.x), static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.z)},
            memory);
}

/// Launches bodies on a stream; `on` is the one of a translation unit.
template <unsigned Build>
class stream_launcher {
 public:
  static constexpr int threads = block_threads;  ///< of every block
  /// On `stream`, which the caller owns.
  explicit constexpr stream_launcher(cudaStream_t stream) noexcept : stream_(stream) {}
  /// The stream it was made with.
  [[nodiscard]] constexpr cudaStream_t stream() const noexcept { return stream_; }

  /// Launches a body. An error that the thread's earlier launches left behind gives errc::cuda and no launch, one that
  /// fails itself the same.
  template <class Body, class Args>
  __attribute__((visibility("hidden"))) [[nodiscard]] status launch(grid const& g, Args const& args) const noexcept {
    static_assert(sizeof(Args) <= 4096, "the parameters of a kernel are at most 4 KB");
    if (g.x < 1 || g.y < 1 || g.z < 1) return {};
    if (status const s = fits_launch(g); !s) return s;
    if (cudaError_t const error = cudaPeekAtLastError(); error != cudaSuccess) return failure(error);
    run_body<Body, threads, Args, Build>
        <<<dim3(static_cast<unsigned>(g.x), static_cast<unsigned>(g.y), static_cast<unsigned>(g.z)), threads, 0,
           stream_>>>(args);
    cudaError_t const error = cudaPeekAtLastError();
    return error == cudaSuccess ? status{} : failure(error);
  }

#if KVSIEVE_CHECK_POINTERS
  /// False for memory of the host that kernels cannot read.
  [[nodiscard]] bool reaches(void const* p) const noexcept {
    cudaPointerAttributes of{};
    if (cudaPointerGetAttributes(&of, p) != cudaSuccess) return true;  // the launch tells what is wrong
    if (of.type != cudaMemoryTypeUnregistered) return of.devicePointer != nullptr;
    int device = 0, pageable = 0;
    bool const known = cudaGetDevice(&device) == cudaSuccess &&
                       cudaDeviceGetAttribute(&pageable, cudaDevAttrPageableMemoryAccess, device) == cudaSuccess;
    return !known || pageable != 0;
  }
#endif

 private:
  [[nodiscard]] static status failure(cudaError_t error) noexcept {
    status s;
    s.code = errc::cuda;
    s.native = static_cast<int>(error);
    s.argument = "launch";
    return s;
  }
  cudaStream_t stream_;
};

/// Says on which stream a call runs; the first argument of every call: `on{stream}`. Calls return when all is launched,
/// and neither allocate, synchronise nor query the device, so they may be captured into a CUDA graph. Where
/// KVSIEVE_CHECK_POINTERS is 1, as in builds without NDEBUG, they ask the driver whether kernels reach the memory that
/// they are given.
using on = stream_launcher<build_tag<__CUDA_ARCH_LIST__>()>;
}  // namespace device
}  // namespace kvsieve::inline v0
