// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/team.hpp>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include <catch2/catch_all.hpp>

#include "race_check.hpp"

using namespace kvsieve;

namespace {
// Runs every job index on a thread of its own, as a caller's pool might.
struct thread_each {
  template <class Job>
  void operator()(int n, Job const& job) const {
    std::vector<std::thread> threads;
    for (int i = 0; i < n; ++i) threads.emplace_back([&job, i] { job(i); });
    for (auto& t : threads) t.join();
  }
};

// Each i in [0, count) has to be visited exactly once, by a worker in [0, workers).
template <class On>
bool visits_each_once(On const& on, kvsieve::index count) {
  std::vector<std::atomic<int>> seen(static_cast<std::size_t>(count));
  std::atomic<bool> workers_in_range{true};
  auto const visit = [&](kvsieve::index i, int worker) {
    seen[static_cast<std::size_t>(i)].fetch_add(1);
    if (worker < 0 || worker >= on.workers()) workers_in_range = false;
  };
  on.for_each(count, visit);
  on.sweep(count, false, visit);
  on.sweep(count, true, visit);
  bool each_thrice = true;
  for (auto const& s : seen) each_thrice = each_thrice && s == 3;
  return each_thrice && workers_in_range;
}
}  // namespace

TEST_CASE("every executor does every piece of work once") {
  host::team one{1}, four{4}, none{0};
  thread_each const threads;
  auto const in_order = [](int n, auto const& job) {
    for (int i = 0; i < n; ++i) job(i);
  };
  for (kvsieve::index const count : {0, 1, 2, 3, 7, 64, 1000}) {
    CAPTURE(count);
    CHECK(visits_each_once(host::on{}, count));
    CHECK(visits_each_once(host::on{one}, count));
    CHECK(visits_each_once(host::on{four}, count));
    CHECK(visits_each_once(host::on{none}, count));
    CHECK(visits_each_once(host::on{3, threads}, count));
    CHECK(visits_each_once(host::on{5, in_order}, count));
  }
  CHECK(none.workers() == 1);
  CHECK(host::on{four}.workers() == 4);
  CHECK(host::on{0, in_order}.workers() == 1);
  CHECK(host::on{}.workers() == 1);
}

TEST_CASE("run() calls the job once for every worker, many small times in a row") {
  host::team team{4};
  std::atomic<int> calls[4] = {};
  constexpr int times = kvsieve_test::race_check ? 2000 : 20000;
  for (int i = 0; i < times; ++i) team.run([&](int w) { calls[w].fetch_add(1, std::memory_order_relaxed); });
  for (auto const& c : calls) CHECK(c == times);
}

TEST_CASE("a team that slept wakes up again") {
  host::team team{3};
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::atomic<int> calls{0};
    team.run([&](int) { calls.fetch_add(1); });
    CHECK(calls == 3);
  }
}

TEST_CASE("what a job wrote is seen by the caller") {
  host::team team{4};
  std::vector<int> data(4096);
  for (int round = 1; round <= 200; ++round) {
    host::on{team}.for_each(64, [&](kvsieve::index i, int) {
      for (int j = 0; j < 64; ++j) data[static_cast<std::size_t>(i * 64 + j)] += 1;
    });
    CHECK(std::accumulate(data.begin(), data.end(), 0) == 4096 * round);
  }
}

TEST_CASE("a team may be used from inside its own job and another team's") {
  host::team outer{3}, inner{2};
  std::atomic<int> calls{0};
  outer.run([&](int) {
    outer.run([&](int) { calls.fetch_add(1); });
    inner.run([&](int) { calls.fetch_add(1); });
    host::on{inner}.for_each(5, [&](kvsieve::index, int) { calls.fetch_add(1); });
  });
  CHECK(calls == 3 * (3 + 2 + 5));
  // and afterwards both work as before
  calls = 0;
  outer.run([&](int) { calls.fetch_add(1); });
  inner.run([&](int) { calls.fetch_add(1); });
  CHECK(calls == 5);
}

TEST_CASE("one team may be used from several threads at once") {
  host::team team{3};
  std::atomic<int> calls{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) team.run([&](int) { calls.fetch_add(1, std::memory_order_relaxed); });
    });
  for (auto& t : threads) t.join();
  CHECK(calls == 4 * 2000 * 3);
}

TEST_CASE("several teams at once do not disturb each other") {
  std::atomic<int> calls{0};
  std::vector<std::thread> threads;
  for (int i = 1; i <= 4; ++i)
    threads.emplace_back([&calls, i] {
      host::team team{i};
      for (int round = 0; round < 500; ++round) host::on{team}.for_each(10, [&](kvsieve::index, int) { ++calls; });
    });
  for (auto& t : threads) t.join();
  CHECK(calls == 4 * 500 * 10);
}

TEST_CASE("teams come and go") {
  std::atomic<int> calls{0};
  for (int i = 0; i < 100; ++i) {
    host::team team{1 + i % 5};
    if (i % 3 != 0) team.run([&](int) { ++calls; });
  }
  int expected = 0;
  for (int i = 0; i < 100; ++i) expected += i % 3 != 0 ? 1 + i % 5 : 0;
  CHECK(calls == expected);
}
