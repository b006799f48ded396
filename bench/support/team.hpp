// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The workers of the benchmarks, and how long they were at work.
#pragma once
#include <kvsieve/host/on.hpp>

#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

namespace kvsieve::bench {

/// CPU time of the calling thread, in seconds.
inline double thread_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// A standing team that adds up the CPU time its workers spend in jobs; usable as a parallel-for of host::on.
class metered_team {
 public:
  explicit metered_team(int workers) : team_(workers), spent_(static_cast<std::size_t>(workers)) {}

  [[nodiscard]] int workers() const { return team_.workers(); }

  template <class Job>
  void operator()(int, Job const& job) const {
    double const before = thread_seconds();
    team_.run([&](int w) {
      double const start = thread_seconds();
      job(w);
      spent_[static_cast<std::size_t>(w)].seconds += thread_seconds() - start;
    });
    caller_ += thread_seconds() - before;
  }

  void reset() const {
    for (auto& s : spent_) s.seconds = 0;
    caller_ = 0;
  }
  /// Seconds in jobs, the mean over the workers.
  [[nodiscard]] double busy() const {
    double all = 0;
    for (auto const& s : spent_) all += s.seconds;
    return all / static_cast<double>(spent_.size());
  }
  /// CPU time of the caller in run(), waiting included.
  [[nodiscard]] double caller() const { return caller_; }

 private:
  struct alignas(64) slot {
    double seconds = 0;
  };
  mutable host::team team_;
  mutable std::vector<slot> spent_;
  mutable double caller_ = 0;
};

/// The one team of the program: a worker for each hardware thread.
inline metered_team const& workers() {
  static metered_team const team(static_cast<int>(std::thread::hardware_concurrency()));
  return team;
}
/// The executor that all benchmarks run on.
inline auto const& on() {
  static host::on const executor{workers().workers(), workers()};
  return executor;
}

/// One timed call: wall clock, and CPU time per worker (what runs outside of jobs counts in full).
struct timing {
  double wall = 0, cpu = 0;
};
template <class F>
timing time_of(F const& f) {
  workers().reset();
  double const cpu = thread_seconds();
  auto const wall = std::chrono::steady_clock::now();
  f();
  timing t;
  t.wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count();
  t.cpu = thread_seconds() - cpu - workers().caller() + workers().busy();
  return t;
}
}  // namespace kvsieve::bench
