// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A CUDA block on the CPU: one std::thread for every CUDA thread and a std::barrier for sync(). ThreadSanitizer then
// sees every missing sync() of a kernel body as a data race.
#pragma once
#include <atomic>
#include <barrier>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include <kvsieve/core/status.hpp>
#include <kvsieve/device/block.hpp>

namespace kvsieve_test {
namespace device = kvsieve::device;

/// Under ThreadSanitizer, where a case takes many times as long.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool race_check = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool race_check = true;
#else
inline constexpr bool race_check = false;
#endif
#else
inline constexpr bool race_check = false;
#endif

/// What the threads of one block have in common besides the body's shared memory.
template <int Threads>
struct block_state {
  static constexpr int widths = 5;  // tiles of 2, 4, 8, 16, 32
  std::barrier<> all{Threads};
  std::deque<std::barrier<>> tiles[widths];
  float lane[widths][Threads] = {};
  block_state() {
    for (int w = 0; w < widths; ++w) {
      for (int t = 0; t < Threads; t += 2 << w) tiles[w].emplace_back(2 << w);
    }
  }
};

template <int Width, int Threads>
struct emulated_tile {
  static_assert(Threads % Width == 0);
  static constexpr int width = Width, level = Width == 2 ? 0 : Width == 4 ? 1 : Width == 8 ? 2 : Width == 16 ? 3 : 4;
  int thread;
  block_state<Threads>* state;

  int rank() const { return thread % Width; }
  int index() const { return thread / Width; }
  float all_sum(float x) const {
    return together(x, [](float a, float b) { return a + b; });
  }
  float all_max(float x) const {
    x = together(x, [](float a, float b) { return std::fmax(a, b); });
    return x == x ? x : -INFINITY;
  }

 private:
  template <class Op>
  float together(float x, Op op) const {
    auto& barrier = state->tiles[level][static_cast<std::size_t>(index())];
    float(&lane)[Threads] = state->lane[level];
    lane[thread] = x;
    barrier.arrive_and_wait();
    float part[Width];
    for (int i = 0; i < Width; ++i) part[i] = lane[thread - rank() + i];
    barrier.arrive_and_wait();
    // The same pairs as shuffles at distance Width / 2, ..., 1, for this lane.
    for (int step = Width / 2; step > 0; step /= 2) {
      float next[Width];
      for (int i = 0; i < Width; ++i) next[i] = op(part[i], part[i ^ step]);
      std::memcpy(part, next, sizeof part);
    }
    return part[rank()];
  }
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
  block_state<Threads>* state;

  int rank() const { return thread; }
  void sync() { state->all.arrive_and_wait(); }
  void atomic_add(unsigned& x, unsigned v) { std::atomic_ref<unsigned>(x).fetch_add(v, std::memory_order_relaxed); }
  unsigned exclusive_sum(unsigned x, unsigned& total, scan_storage& s) {
    s.part[thread] = x;
    sync();
    unsigned before = 0, sum = 0;
    for (int t = 0; t < Threads; ++t) {
      if (t == thread) before = sum;
      sum += s.part[t];
    }
    total = sum;
    sync();
    return before;
  }
  float all_sum(float x, reduce_storage& s) {
    s.part[thread] = x;
    sync();
    float sum = 0;
    for (int t = 0; t < Threads; ++t) sum += s.part[t];
    sync();
    return sum;
  }
  float all_max(float x, reduce_storage& s) {
    s.part[thread] = x;
    sync();
    float m = -INFINITY;
    for (int t = 0; t < Threads; ++t) m = std::fmax(m, s.part[t]);
    sync();
    return m;
  }
  template <int Width>
  emulated_tile<Width, Threads> tile() const {
    return {thread, state};
  }
  template <kvsieve::element T>
  void multiply_add(std::uint16_t const* a, std::uint16_t const* b, int stride, float (&product)[4][4]) const {
    device::multiply_add_lane<T>(thread % 32, a, b, stride, product);
  }
};

/// A launcher as device::on is one, for host memory: runs the blocks of a launch, two at a time, so that what two
/// blocks do to the same memory is seen as a race too. Shared memory starts as rubbish in every block.
template <int Threads>
struct emulated_device {
  static constexpr int threads = Threads;
  int* launches = nullptr;  ///< counts launches when set

  template <class Body, class Args>
  kvsieve::status launch(device::grid g, Args const& args) const {
    if (launches != nullptr) ++*launches;
    long const blocks = static_cast<long>(g.x) * g.y * g.z;
    long const teams = blocks < 2 ? blocks : 2;
    using block = emulated_block<Threads>;
    using shared = typename Body::template shared<block>;
    struct team {
      block_state<Threads> state;
      shared memory;
    };
    std::vector<std::unique_ptr<team>> team_of;
    std::vector<std::thread> running;
    for (long j = 0; j < teams; ++j) {
      team_of.push_back(std::make_unique<team>());
      team& own = *team_of.back();
      for (int t = 0; t < Threads; ++t) {
        running.emplace_back([&own, &args, g, j, t, teams, blocks] {
          block b{t, &own.state};
          for (long i = j; i < blocks; i += teams) {
            if (t == 0) std::memset(static_cast<void*>(&own.memory), 0xcd, sizeof own.memory);
            b.sync();
            Body::run(b, args, device::work{int(i % g.x), int(i / g.x % g.y), int(i / g.x / g.y)}, own.memory);
            b.sync();
          }
        });
      }
    }
    for (auto& r : running) r.join();
    return {};
  }
};

static_assert(device::block<emulated_block<64>>);
}  // namespace kvsieve_test
