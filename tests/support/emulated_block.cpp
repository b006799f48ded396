// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "emulated_block.hpp"

#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

// ThreadSanitizer is told which context runs and what a sync() orders; it takes a context for a thread.
#if defined(__has_include) && __has_include(<sanitizer/tsan_interface.h>)
#include <sanitizer/tsan_interface.h>
#endif

namespace kvsieve_test {
namespace {
#if defined(__SANITIZE_THREAD__) || defined(__clang__)
/// Of what a switch of contexts itself reads and writes.
#define KVSIEVE_UNSEEN __attribute__((no_sanitize("thread")))
#else
#define KVSIEVE_UNSEEN
#endif

struct checker {
#if KVSIEVE_RACE_CHECK
  static void* create() { return __tsan_create_fiber(0); }
  static void* current() { return __tsan_get_current_fiber(); }
  KVSIEVE_UNSEEN static void enter(void* fiber) { __tsan_switch_to_fiber(fiber, __tsan_switch_to_fiber_no_sync); }
  static void release(void* at) { __tsan_release(at); }
  static void acquire(void* at) { __tsan_acquire(at); }
#else
  static void* create() { return nullptr; }
  static void* current() { return nullptr; }
  static void enter(void*) {}
  static void release(void*) {}
  static void acquire(void*) {}
#endif
};

/// One thread of a block, apart from what it runs.
struct context {
  static constexpr std::size_t stack_bytes = std::size_t{1} << 18;
  ucontext_t registers;
  void* fiber = checker::create();
  std::unique_ptr<char[]> stack{new char[stack_bytes]};
};

/// Contexts that take turns: one runs until it waits or ends, and which comes next is drawn.
class turns {
 public:
  turns(std::size_t count, std::uint64_t seed)
      : context_(contexts(count)),
        ready_list_(count),
        ready_(ready_list_.data()),
        count_(count),
        draw_(seed * 0x9e3779b97f4a7c15u) {
    for (std::size_t i = 0; i < count; ++i) {
      prepare(*context_[i]);
      make_ready(i);
    }
  }
  /// Calls job(i) for every context, until all have returned.
  template <class Job>
  void run(Job const& job) {
    call_ = [](void const* j, std::size_t i) { (*static_cast<Job const*>(j))(i); };
    job_ = &job;
    running() = this;
    caller_fiber_ = checker::current();
    checker::release(this);
    next(caller_);
    checker::acquire(this);
  }
  KVSIEVE_UNSEEN void make_ready(std::size_t i) { ready_[waiting_++] = i; }
  /// Lets others run until somebody makes this one ready.
  KVSIEVE_UNSEEN void wait() { next(context_[now_]->registers); }

 private:
  static turns*& running() {
    static thread_local turns* one = nullptr;
    return one;
  }
  /// The first `count` of this thread, from launches before.
  static context* const* contexts(std::size_t count) {
    static thread_local std::vector<std::unique_ptr<context>> owned;
    static thread_local std::vector<context*> all;
    while (all.size() < count) {
      owned.push_back(std::make_unique<context>());
      all.push_back(owned.back().get());
    }
    return all.data();
  }
  static void prepare(context& c) {
    getcontext(&c.registers);
    c.registers.uc_stack.ss_sp = c.stack.get();
    c.registers.uc_stack.ss_size = context::stack_bytes;
    c.registers.uc_link = nullptr;
    makecontext(&c.registers, &turns::begin, 0);
  }
  KVSIEVE_UNSEEN static void begin() {
    turns& all = *running();
    checker::acquire(&all);
    all.call_(all.job_, all.now_);
    checker::release(&all);
    ++all.ended_;
    all.next(all.context_[all.now_]->registers);
  }
  KVSIEVE_UNSEEN void next(ucontext_t& from) {
    if (waiting_ == 0) {
      if (ended_ != count_) {
        std::fputs("emulated block: threads wait for others that have ended\n", stderr);
        std::abort();
      }
      checker::enter(caller_fiber_);
      swapcontext(&from, &caller_);
      return;
    }
    draw_ = draw_ * 6364136223846793005u + 1442695040888963407u;
    auto const at = static_cast<std::size_t>(((draw_ >> 32) * waiting_) >> 32);
    now_ = ready_[at];
    ready_[at] = ready_[--waiting_];
    context& to = *context_[now_];
    if (&to.registers == &from) return;
    checker::enter(to.fiber);
    swapcontext(&from, &to.registers);
  }

  context* const* context_;
  std::vector<std::size_t> ready_list_;
  std::size_t* ready_;
  std::size_t count_, waiting_ = 0, now_ = 0, ended_ = 0;
  ucontext_t caller_;
  void* caller_fiber_ = nullptr;
  void (*call_)(void const*, std::size_t) = nullptr;
  void const* job_ = nullptr;
  std::uint64_t draw_;
};

/// Where some threads of a block wait for each other.
class meeting {
 public:
  meeting(int expected, turns& order, std::size_t first)
      : expected_(expected),
        order_(order),
        first_(first),
        waiting_list_(static_cast<std::size_t>(expected)),
        waiting_(waiting_list_.data()) {}

  void arrive(int thread) {
    char* const own = turn_of(thread);
    checker::release(own);
    order_.wait();
    checker::acquire(own);
  }

 private:
  /// Notes the thread; the last one lets all go on. What they meet at is theirs until they meet for the time after
  /// next.
  KVSIEVE_UNSEEN char* turn_of(int thread) {
    char* const own = &met_at_[time_ % 2 * 8];
    waiting_[arrived_++] = first_ + static_cast<std::size_t>(thread);
    if (arrived_ == expected_) {
      for (int i = 0; i < expected_; ++i) order_.make_ready(waiting_[i]);
      arrived_ = 0;
      ++time_;
    }
    return own;
  }

  int expected_, arrived_ = 0;
  unsigned time_ = 0;
  turns& order_;
  std::size_t first_;
  std::vector<std::size_t> waiting_list_;
  std::size_t* waiting_;
  char met_at_[16] = {};
};

struct alignas(64) line {
  char byte[64];
};
}  // namespace

class block_state {
 public:
  static constexpr int widths = 5;  // tiles of 2, 4, 8, 16, 32
  meeting all;
  std::deque<meeting> tiles[widths];
  std::vector<float> lane[widths];
  std::vector<line> shared;

  block_state(block_body const& body, turns& order, std::size_t first)
      : all(body.threads, order, first), shared(body.shared_bytes / sizeof(line) + 1) {
    for (int w = 0; w < widths; ++w) {
      lane[w].resize(static_cast<std::size_t>(body.threads));
      for (int t = 0; t < body.threads; t += 2 << w) tiles[w].emplace_back(2 << w, order, first);
    }
  }
};

void sync(block_state& block, int thread) { block.all.arrive(thread); }

namespace {
/// The same pairs as shuffles at distance width / 2, ..., 1, for this lane.
template <class Op>
float pairwise(block_state& block, int thread, int width, float x, Op op) {
  int level = 0;
  while ((2 << level) < width) ++level;
  meeting& own = block.tiles[level][static_cast<std::size_t>(thread / width)];
  float* const lane = block.lane[level].data();
  int const rank = thread % width;
  lane[thread] = x;
  own.arrive(thread);
  std::array<float, 32> part;
  for (int i = 0; i < width; ++i) part[static_cast<std::size_t>(i)] = lane[thread - rank + i];
  own.arrive(thread);
  for (int step = width / 2; step > 0; step /= 2) {
    std::array<float, 32> last = part;
    for (int i = 0; i < width; ++i)
      part[static_cast<std::size_t>(i)] =
          op(last[static_cast<std::size_t>(i)], last[static_cast<std::size_t>(i ^ step)]);
  }
  return part[static_cast<std::size_t>(rank)];
}
int threads_of(block_state const& block) { return static_cast<int>(block.lane[0].size()); }
}  // namespace

float tile_sum(block_state& block, int thread, int width, float x) {
  return pairwise(block, thread, width, x, [](float a, float b) { return a + b; });
}
float tile_max(block_state& block, int thread, int width, float x) {
  x = pairwise(block, thread, width, x, [](float a, float b) { return std::fmax(a, b); });
  return x == x ? x : -INFINITY;
}
unsigned exclusive_sum(block_state& block, int thread, unsigned x, unsigned& total, unsigned* part) {
  part[thread] = x;
  sync(block, thread);
  unsigned before = 0, sum = 0;
  for (int t = 0; t < threads_of(block); ++t) {
    if (t == thread) before = sum;
    sum += part[t];
  }
  total = sum;
  sync(block, thread);
  return before;
}
float block_sum(block_state& block, int thread, float x, float* part) {
  part[thread] = x;
  sync(block, thread);
  float sum = 0;
  for (int t = 0; t < threads_of(block); ++t) sum += part[t];
  sync(block, thread);
  return sum;
}
float block_max(block_state& block, int thread, float x, float* part) {
  part[thread] = x;
  sync(block, thread);
  float m = -INFINITY;
  for (int t = 0; t < threads_of(block); ++t) m = std::fmax(m, part[t]);
  sync(block, thread);
  return m;
}

void run_blocks(device::grid g, block_body const& body, std::uint64_t seed) {
  long const blocks = static_cast<long>(g.x) * g.y * g.z;
  std::size_t const teams = blocks < 2 ? static_cast<std::size_t>(blocks) : 2,
                    threads = static_cast<std::size_t>(body.threads);
  if (teams == 0) return;
  turns order(teams * threads, seed);
  std::vector<long> block(static_cast<std::size_t>(blocks));
  std::iota(block.begin(), block.end(), 0L);
  std::shuffle(block.begin(), block.end(), std::minstd_rand(static_cast<unsigned>(seed)));
  std::deque<block_state> team;
  for (std::size_t j = 0; j < teams; ++j) team.emplace_back(body, order, j * threads);
  order.run([&](std::size_t i) {
    block_state& own = team[i / threads];
    int const t = static_cast<int>(i % threads);
    for (std::size_t next = i / threads; next < block.size(); next += teams) {
      long const b = block[next];
      if (t == 0) std::memset(own.shared.data(), 0xcd, own.shared.size() * sizeof(line));
      sync(own, t);
      body.run(body.args, own, t, device::work{int(b % g.x), int(b / g.x % g.y), int(b / g.x / g.y)},
               own.shared.data());
      sync(own, t);
    }
  });
}
}  // namespace kvsieve_test
