// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the GPU tests own: device memory, a stream, and rows that lie on both machines.
#pragma once
#include <cuda_runtime_api.h>

#include <catch2/catch_all.hpp>
#include <cstddef>
#include <random>
#include <span>
#include <vector>

#include <kvsieve/core/views.hpp>

namespace kvsieve_test {
namespace kvs = kvsieve;

/// Device memory of this test.
class buffer {
 public:
  explicit buffer(std::size_t bytes) : bytes_(bytes) {
    REQUIRE(cudaMalloc(&memory_, bytes == 0 ? 1 : bytes) == cudaSuccess);
  }
  buffer(buffer const&) = delete;
  buffer& operator=(buffer const&) = delete;
  ~buffer() { cudaFree(memory_); }
  template <class T>
  T* as() const {
    return static_cast<T*>(memory_);
  }
  std::span<std::byte> bytes() const { return {as<std::byte>(), bytes_}; }

 private:
  void* memory_ = nullptr;
  std::size_t bytes_;
};

struct stream {
  cudaStream_t handle = nullptr;
  stream() { REQUIRE(cudaStreamCreateWithFlags(&handle, cudaStreamNonBlocking) == cudaSuccess); }
  ~stream() { cudaStreamDestroy(handle); }
  void wait() const { REQUIRE(cudaStreamSynchronize(handle) == cudaSuccess); }
};

/// The same rows on the host and on the device.
template <class T, int D>
struct tensor {
  int heads, tokens;
  std::vector<T> host;
  buffer device;
  tensor(int h, int n, unsigned seed)
      : heads(h),
        tokens(n),
        host(static_cast<std::size_t>(h) * static_cast<std::size_t>(n) * D),
        device(host.size() * sizeof(T)) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (std::size_t i = 0; i < host.size(); ++i)
      host[i] = kvs::from_float<T>(normal(random) + 0.3f * static_cast<float>(i % D % 3));
  }
  void upload() const {
    REQUIRE(cudaMemcpy(device.as<T>(), host.data(), host.size() * sizeof(T), cudaMemcpyHostToDevice) == cudaSuccess);
  }
  std::vector<T> download() const {
    std::vector<T> got(host.size());
    REQUIRE(cudaMemcpy(got.data(), device.as<T>(), got.size() * sizeof(T), cudaMemcpyDeviceToHost) == cudaSuccess);
    return got;
  }
  auto on_host() const { return kvs::make_rows<D>(host.data(), heads, tokens); }
  auto on_device() const { return kvs::make_rows<D>(device.as<T>(), heads, tokens); }
};
}  // namespace kvsieve_test
