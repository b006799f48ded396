// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The executor of the device: a stream of the caller's. There is no default stream.
#pragma once
#include <cuda_runtime_api.h>

#include <kvsieve/core/status.hpp>
#include <kvsieve/device/cuda_block.cuh>

namespace kvsieve::inline v0 {
namespace device {

/// A number made of the architectures that a translation unit is compiled for. It is part of the name of every kernel
/// and launcher, so that code compiled for different ones links together.
template <int... Arch>
[[nodiscard]] constexpr unsigned arch_tag() {
  unsigned tag = 0;
  ((tag = (tag ^ static_cast<unsigned>(Arch)) * 2654435761u), ...);
  return tag;
}
/// Every kernel of the library: a block, its shared memory, one body.
template <class Body, int Threads, class Args, unsigned Arch>
__attribute__((visibility("hidden"))) __global__ void __launch_bounds__(Threads, 1)
    run_body(__grid_constant__ Args const args) {
  using block_type = cuda_block<Threads>;
  __shared__ typename Body::template shared<block_type> memory;
  block_type b;
  Body::run(b, args, work{static_cast<int>(blockIdx.x), static_cast<int>(blockIdx.y), static_cast<int>(blockIdx.z)},
            memory);
}

/// Says on which stream a call runs; the first argument of every call. Calls return when all is launched, and neither
/// allocate, synchronise nor query the device, so they may be captured into a CUDA graph.
class on {
 public:
  static constexpr int threads = block_threads;  ///< of every block
  /// On `stream`, which the caller owns.
  explicit constexpr on(cudaStream_t stream) noexcept : stream_(stream) {}
  /// The stream it was made with.
  [[nodiscard]] constexpr cudaStream_t stream() const noexcept { return stream_; }

  /// Launches a body; a launch that fails, or an error that an earlier one left behind, gives errc::cuda.
  template <class Body, class Args, unsigned Arch = arch_tag<__CUDA_ARCH_LIST__>()>
  __attribute__((visibility("hidden"))) [[nodiscard]] status launch(grid const& g, Args const& args) const noexcept {
    static_assert(sizeof(Args) <= 4096, "the parameters of a kernel are at most 4 KB");
    if (g.x < 1 || g.y < 1 || g.z < 1) return {};
    run_body<Body, threads, Args, Arch>
        <<<dim3(static_cast<unsigned>(g.x), static_cast<unsigned>(g.y), static_cast<unsigned>(g.z)), threads, 0,
           stream_>>>(args);
    cudaError_t const error = cudaPeekAtLastError();
    if (error == cudaSuccess) return {};
    status s;
    s.code = errc::cuda;
    s.native = static_cast<int>(error);
    s.argument = "launch";
    return s;
  }

 private:
  cudaStream_t stream_;
};
}  // namespace device
}  // namespace kvsieve::inline v0
