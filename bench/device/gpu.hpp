// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The GPU of the benchmarks: its memory, its one stream, and how long calls take on it.
#pragma once
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <vector>

namespace kvsieve::bench::gpu {

/// Ends the program when a call of the CUDA runtime failed: no figure after it would mean anything.
inline void must(cudaError_t error, char const* call) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "kvsieve_device_bench: %s: %s\n", call, cudaGetErrorString(error));
  std::exit(1);
}

/// Device memory of this program.
class memory {
 public:
  explicit memory(std::size_t bytes) : bytes_(bytes) { must(cudaMalloc(&at_, bytes == 0 ? 1 : bytes), "cudaMalloc"); }
  memory(memory const&) = delete;
  memory& operator=(memory const&) = delete;
  ~memory() { cudaFree(at_); }
  template <class T>
  [[nodiscard]] T* as() const {
    return static_cast<T*>(at_);
  }
  [[nodiscard]] std::span<std::byte> bytes() const { return {as<std::byte>(), bytes_}; }

 private:
  void* at_ = nullptr;
  std::size_t bytes_;
};

/// The stream that all work runs on.
inline cudaStream_t stream() {
  static cudaStream_t const one = [] {
    cudaStream_t s = nullptr;
    must(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), "cudaStreamCreate");
    return s;
  }();
  return one;
}
inline void wait() { must(cudaStreamSynchronize(stream()), "cudaStreamSynchronize"); }

template <class T>
std::vector<T> fetch(T const* from, std::size_t count) {
  std::vector<T> got(count);
  must(cudaMemcpy(got.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
  return got;
}

/// Median and quartiles of the rounds, in seconds a call.
struct spread {
  double low = 0, median = 0, high = 0;
};

/// Seconds between two points of the stream.
template <class F>
double seconds_of(F const& work) {
  struct events {
    cudaEvent_t begin = nullptr, end = nullptr;
    events() {
      must(cudaEventCreate(&begin), "cudaEventCreate");
      must(cudaEventCreate(&end), "cudaEventCreate");
    }
  };
  static events const e;
  must(cudaEventRecord(e.begin, stream()), "cudaEventRecord");
  work();
  must(cudaEventRecord(e.end, stream()), "cudaEventRecord");
  must(cudaEventSynchronize(e.end), "cudaEventSynchronize");
  float ms = 0;
  must(cudaEventElapsedTime(&ms, e.begin, e.end), "cudaEventElapsedTime");
  return 1e-3 * static_cast<double>(ms);
}

/// Times call(i), i = 0, 1, ...: as many calls as take some 4 ms are captured into one CUDA graph, so that what the
/// host spends on launching is not measured, and the graph is replayed. call() takes cold inputs in turn.
template <class F>
spread time_calls(F const& call) {
  call(0);
  wait();
  double const once = seconds_of([&] { call(1); });
  int const calls = std::clamp(static_cast<int>(4e-3 / std::max(once, 1e-6)), 2, 64);
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t exec = nullptr;
  must(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  for (int i = 0; i < calls; ++i) call(i);
  must(cudaStreamEndCapture(stream(), &graph), "cudaStreamEndCapture");
  must(cudaGraphInstantiate(&exec, graph, 0), "cudaGraphInstantiate");
  auto const replay = [&] { must(cudaGraphLaunch(exec, stream()), "cudaGraphLaunch"); };
  double const warm = seconds_of(replay);
  int const rounds = std::clamp(static_cast<int>(0.2 / std::max(warm, 1e-6)), 5, 21);
  std::vector<double> each;
  for (int i = 0; i < rounds; ++i) each.push_back(seconds_of(replay) / calls);
  must(cudaGraphExecDestroy(exec), "cudaGraphExecDestroy");
  must(cudaGraphDestroy(graph), "cudaGraphDestroy");
  std::ranges::sort(each);
  auto const at = [&](double q) { return each[static_cast<std::size_t>(q * static_cast<double>(each.size() - 1))]; };
  return {at(0.25), at(0.5), at(0.75)};
}
}  // namespace kvsieve::bench::gpu
