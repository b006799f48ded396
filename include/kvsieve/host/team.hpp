// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A standing team of threads. Spawning a thread costs more than a whole top-k; waking one costs about a microsecond.
#pragma once
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {
namespace host {

/// Threads that wait for work, owned by the caller: one for each worker but the calling thread. Idle ones spin for a
/// few microseconds, then sleep. run() may be called from any thread, also from inside a job of this or another team;
/// a team that is busy, or called from inside a job, runs the work in the calling thread. Results never depend on it.
class team {
 public:
  /// @param workers  threads that work at once, the caller's included; at least 1.
  explicit team(int workers) : workers_(workers < 1 ? 1 : workers) {
    threads_.reserve(static_cast<std::size_t>(workers_ - 1));
    for (int w = 1; w < workers_; ++w) threads_.emplace_back([this, w] { work(w); });
  }
  team(team const&) = delete;
  team& operator=(team const&) = delete;
  ~team() {
    stop_ = true;
    epoch_.fetch_add(1, std::memory_order_release);
    epoch_.notify_all();
    for (auto& t : threads_) t.join();
  }

  /// Threads that work at once.
  [[nodiscard]] int workers() const noexcept { return workers_; }

  /// Calls job(w) once for every w in [0, workers()), at the same time where possible; returns when all are done.
  template <class Job>
  void run(Job const& job) noexcept {
    if (workers_ == 1 || inside_ || busy_.exchange(true, std::memory_order_acquire)) {
      for (int w = 0; w < workers_; ++w) job(w);
      return;
    }
    call_ = [](void const* j, int w) { (*static_cast<Job const*>(j))(w); };
    job_ = &job;
    running_.store(workers_ - 1, std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_seq_cst);
    if (sleepers_.load(std::memory_order_seq_cst) != 0) epoch_.notify_all();
    inside_ = true;
    job(0);
    inside_ = false;
    for (int spins = 0; running_.load(std::memory_order_acquire) != 0;)
      if (++spins < spin_limit)
        pause();
      else
        std::this_thread::yield();
    busy_.store(false, std::memory_order_release);
  }

 private:
  static constexpr int spin_limit = 4000;
  // True in a thread that is running a team's job: teams used from there run inline.
  inline static thread_local bool inside_ = false;

  static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }

  void work(int w) noexcept {
    inside_ = true;
    std::uint32_t seen = 0;
    for (;;) {
      for (int spins = 0; epoch_.load(std::memory_order_acquire) == seen;) {
        if (++spins < spin_limit) {
          pause();
          continue;
        }
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        epoch_.wait(seen, std::memory_order_seq_cst);
        sleepers_.fetch_sub(1, std::memory_order_seq_cst);
        spins = 0;
      }
      ++seen;
      if (stop_) return;
      call_(job_, w);
      running_.fetch_sub(1, std::memory_order_release);
    }
  }

  int workers_;
  std::atomic<bool> stop_{false};
  void (*call_)(void const*, int) = nullptr;
  void const* job_ = nullptr;
  alignas(64) std::atomic<std::uint32_t> epoch_{0};
  alignas(64) std::atomic<int> running_{0};
  alignas(64) std::atomic<int> sleepers_{0};
  std::atomic<bool> busy_{false};
  std::vector<std::thread> threads_;
};
}  // namespace host
}  // namespace kvsieve::inline v0
