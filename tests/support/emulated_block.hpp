// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A CUDA block on the CPU. Each of its threads is a context with a stack of its own; one CPU thread runs them, and who
// goes on after a sync() is drawn, so a body that lacks one gives other numbers than the host. ThreadSanitizer takes
// each context for a thread and sees every missing sync() as a data race.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>

#include <kvsieve/core/status.hpp>
#include <kvsieve/device/block.hpp>
#include <kvsieve/device/call/launch_views.hpp>

#include "race_check.hpp"

namespace kvsieve_test {
namespace device = kvsieve::device;

/// What the threads of one block have in common besides the body's shared memory.
class block_state;

// Collectives of a block and of the tile of `width` threads around a thread, compiled once.
void sync(block_state& block, int thread);
[[nodiscard]] float tile_sum(block_state& block, int thread, int width, float x);
[[nodiscard]] float tile_max(block_state& block, int thread, int width, float x);
[[nodiscard]] unsigned exclusive_sum(block_state& block, int thread, unsigned x, unsigned& total, unsigned* part);
[[nodiscard]] float block_sum(block_state& block, int thread, float x, float* part);
[[nodiscard]] float block_max(block_state& block, int thread, float x, float* part);

template <int Width>
struct emulated_tile {
  static constexpr int width = Width;
  int thread;
  block_state* state;

  int rank() const { return thread % Width; }
  int index() const { return thread / Width; }
  float all_sum(float x) const { return tile_sum(*state, thread, Width, x); }
  float all_max(float x) const { return tile_max(*state, thread, Width, x); }
};

template <int Threads>
struct emulated_block {
  static constexpr int threads = Threads;
  struct scan_storage {
    unsigned part[Threads];
  };
  struct reduce_storage {
    float part[Threads];
  };
  int thread;
  block_state* state;

  int rank() const { return thread; }
  void sync() { kvsieve_test::sync(*state, thread); }
  unsigned atomic_add(unsigned& x, unsigned v) {
    return std::atomic_ref<unsigned>(x).fetch_add(v, std::memory_order_relaxed);
  }
  unsigned exclusive_sum(unsigned x, unsigned& total, scan_storage& s) {
    return kvsieve_test::exclusive_sum(*state, thread, x, total, s.part);
  }
  float all_sum(float x, reduce_storage& s) { return block_sum(*state, thread, x, s.part); }
  float all_max(float x, reduce_storage& s) { return block_max(*state, thread, x, s.part); }
  template <int Width>
  emulated_tile<Width> tile() const {
    static_assert(Threads % Width == 0);
    return {thread, state};
  }
  template <kvsieve::element T>
  void multiply_add(std::uint16_t const* a, std::uint16_t const* b, int stride, float (&product)[4][4]) const {
    device::multiply_add_lane<T>(thread % 32, a, b, stride, product);
  }
};

/// A body as a launch needs it: run() is one thread of one block.
struct block_body {
  int threads;
  std::size_t shared_bytes;
  void const* args;
  void (*run)(void const* args, block_state& block, int thread, device::work w, void* shared);
};
/// Runs the blocks of a launch, two at a time, so that what two blocks do to the same memory shows as well. Shared
/// memory starts as rubbish in every block.
/// @param seed  what is drawn follows from it: which thread goes on, and which block comes next
void run_blocks(device::grid g, block_body const& body, std::uint64_t seed);

/// A launcher as device::on is one, for host memory.
template <int Threads>
struct emulated_device {
  static constexpr int threads = Threads;
  int* launches = nullptr;  ///< counts launches when set
  std::uint64_t seed = 1;   ///< of the order in which threads take turns

  template <class Body, class Args>
  kvsieve::status launch(device::grid g, Args const& args) const {
    if (g.x < 1 || g.y < 1 || g.z < 1) return {};
    if (kvsieve::status const s = device::fits_launch(g); !s) return s;
    if (launches != nullptr) ++*launches;
    using block = emulated_block<Threads>;
    using shared = typename Body::template shared<block>;
    static_assert(alignof(shared) <= 64);
    run_blocks(g,
               {Threads, sizeof(shared), &args,
                [](void const* all, block_state& state, int thread, device::work w, void* memory) {
                  block b{thread, &state};
                  Body::run(b, *static_cast<Args const*>(all), w, *static_cast<shared*>(memory));
                }},
               seed);
    return {};
  }
};

static_assert(device::block<emulated_block<64>>);
}  // namespace kvsieve_test
