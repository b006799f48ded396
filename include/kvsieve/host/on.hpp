// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Executors of the host: a standing team, the caller's own parallel-for, or the calling thread.
#pragma once
#include <atomic>

#include <kvsieve/core/config.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/host/team.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
struct calling_thread {
  [[nodiscard]] static constexpr int workers() noexcept { return 1; }
  template <class Job>
  void run(Job const& job) const noexcept {
    job(0);
  }
};
struct team_pool {
  team* standing;
  [[nodiscard]] int workers() const noexcept { return standing->workers(); }
  template <class Job>
  void run(Job const& job) const noexcept {
    standing->run(job);
  }
};
template <class ParallelFor>
struct caller_pool {
  int count;
  ParallelFor const* parallel_for;
  [[nodiscard]] int workers() const noexcept { return count; }
  template <class Job>
  void run(Job const& job) const noexcept {
    (*parallel_for)(count, job);
  }
};
}  // namespace detail

/// Says where a call runs; the first argument of every call. Results do not depend on the number of workers.
///   on{}                      in the calling thread
///   on{team}                  on a standing team
///   on{workers, parallel_for} by the caller: parallel_for(n, f) calls f(0) ... f(n - 1), at once or one by one
template <class Pool = detail::calling_thread>
class on {
 public:
  /// In the calling thread.
  on() = default;
  /// On a standing team, which outlives the calls.
  explicit on(team& t) : pool_{&t} {}
  /// By the caller's parallel_for, which outlives the calls; `workers` at once, at least 1.
  template <class ParallelFor>
  on(int workers, ParallelFor const& f) : pool_{workers < 1 ? 1 : workers, &f} {}

  /// Tasks that may run at once.
  [[nodiscard]] int workers() const noexcept { return pool_.workers(); }

  /// Calls task(i, worker) for every i in [0, count); whoever is free takes the next.
  template <class Task>
  void for_each(index count, Task const& task) const noexcept {
    if (count <= 1 || workers() == 1) {
      for (index i = 0; i < count; ++i) task(i, 0);
      return;
    }
    std::atomic<index> next{0};
    pool_.run([&](int worker) {
      for (index i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) task(i, worker);
    });
  }
  /// Calls task(i, worker) for every i in [0, count); worker w always gets the same run of them, so what it read in one
  /// sweep is still in its cache in the next. With `backwards` it takes its run from the end.
  template <class Task>
  void sweep(index count, bool backwards, Task const& task) const noexcept {
    auto const share = [&](int worker, int all) {
      index const from = count * worker / all, to = count * (worker + 1) / all;
      for (index i = from; i < to; ++i) task(backwards ? from + to - 1 - i : i, worker);
    };
    if (count <= 1 || workers() == 1) return share(0, 1);
    pool_.run([&](int worker) { share(worker, workers()); });
  }

 private:
  Pool pool_{};
};
/// @cond
on() -> on<>;
on(team&) -> on<detail::team_pool>;
template <class ParallelFor>
on(int, ParallelFor const&) -> on<detail::caller_pool<ParallelFor>>;
/// @endcond

/// What the host's calls accept as their first argument.
template <class E>
concept executor = requires(E const& e, void (*task)(index, int)) {
  { e.workers() } -> cs::convertible_to<int>;
  e.for_each(index{1}, task);
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
