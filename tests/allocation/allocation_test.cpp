// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// plan, apply and attend neither allocate nor spawn a thread. Every form of operator new counts here.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "planned.hpp"

#include <catch2/catch_all.hpp>

namespace {
std::atomic<long> allocations{0};

void* count_and_allocate(std::size_t size, std::size_t alignment) {
  allocations.fetch_add(1);
  if (void* p = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)) return p;
  throw std::bad_alloc();
}
}  // namespace

[[gnu::noinline]] void* operator new(std::size_t n) { return count_and_allocate(n == 0 ? 1 : n, 16); }
[[gnu::noinline]] void* operator new[](std::size_t n) { return count_and_allocate(n == 0 ? 1 : n, 16); }
[[gnu::noinline]] void* operator new(std::size_t n, std::align_val_t a) {
  return count_and_allocate(n, static_cast<std::size_t>(a));
}
[[gnu::noinline]] void* operator new[](std::size_t n, std::align_val_t a) {
  return count_and_allocate(n, static_cast<std::size_t>(a));
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace {
using namespace kvsieve;

[[maybe_unused]] long threads() {
  long n = 0;
  for (auto const& entry : std::filesystem::directory_iterator("/proc/self/task")) n += entry.is_directory();
  return n;
}

// Where it runs: a pool of the caller's that looks how many threads there are while the library is at work.
struct watching_pool {
  std::atomic<long>* most;
  template <class Job>
  void operator()(int n, Job const& job) const {
    for (int i = 0; i < n; ++i) job(i);
    long const now = allocations.load(), there = threads();  // looking allocates: not counted
    allocations.store(now);
    if (there > most->load()) most->store(there);
  }
};

template <class C, class On>
void check(On const& on, typename C::params const& params, int query_tokens) {
  std::vector<support::layer<f16, 64>> layers, results;
  for (int const n : {3000, 70, 500})
    layers.emplace_back(2, 3, n, query_tokens < 0 ? n : query_tokens, support::layout::packed, support::content::normal,
                        1u);
  std::vector<decltype(layers[0].view())> views, to;
  std::vector<decltype(layers[0].queries.view())> queries;
  for (auto& l : layers) {
    views.push_back(l.view());
    queries.push_back(l.queries.view());
    results.emplace_back(2, 1, l.keys.tokens(), 1, support::layout::packed, support::content::normal, 1u);
  }
  for (auto& r : results) to.push_back(r.view());
  using view = typename decltype(views)::value_type;
  using query = typename decltype(queries)::value_type;
  cs::span<view const> const all(views.data(), views.size()), targets(to.data(), to.size());
  [[maybe_unused]] cs::span<query const> const asked(queries.data(), queries.size());

  auto const run = [&](auto const&... arguments) {
    support::workspace memory(workspace_bytes<C>(on, arguments..., params));
    auto const span = memory.span();
    long const threads_before = threads(), before = allocations.load();
    token_plan const p = plan<C>(on, arguments..., params, span);
    status const moved = apply<C>(on, p, all, targets);
    status const moved_in_place = apply<C>(on, p, all);
    long const after = allocations.load(), threads_after = threads();
    CHECK(p);
    CHECK(moved);
    CHECK(moved_in_place);
    CHECK(after == before);
    CHECK(threads_after == threads_before);
  };
  if constexpr (C::observes_queries)
    run(all, asked);
  else
    run(all);
}

template <class C>
void check_everywhere(typename C::params const& params = {}, int query_tokens = 1) {
  check<C>(host::on{}, params, query_tokens);
  host::team team{4};
  check<C>(host::on{team}, params, query_tokens);
  std::atomic<long> most{0};
  watching_pool const pool{&most};
  long const before = threads();
  check<C>(host::on{3, pool}, params, query_tokens);
  CHECK(most.load() <= before);
}
}  // namespace

TEST_CASE("the counter counts") {
  long const before = allocations.load();
  ::operator delete(::operator new(3));  // a new expression might be left out
  ::operator delete[](::operator new[](100, std::align_val_t{64}), std::align_val_t{64});
  CHECK(allocations.load() >= before + 2);
}

TEST_CASE("key_norm: no allocation, no thread") { check_everywhere<key_norm<>>(); }
TEST_CASE("key_diff: no allocation, no thread") { check_everywhere<key_diff<>>(); }
TEST_CASE("lag_kv: no allocation, no thread") { check_everywhere<lag_kv<>>({.score = {.sink = 4, .lag = 16}}); }
TEST_CASE("lag_kv_streaming: no allocation, no thread") {
  check_everywhere<lag_kv_streaming<>>({.score = {.sink = 4, .lag = 16}});
}
TEST_CASE("snap_kv: no allocation, no thread") { check_everywhere<snap_kv<>>({.score = {.window = 32}}, 32); }
TEST_CASE("tova: no allocation, no thread") { check_everywhere<tova<>>({}, 1); }
TEST_CASE("observed_attention: no allocation, no thread") { check_everywhere<observed_attention<>>({}, -1); }
TEST_CASE("h2o: no allocation, no thread") { check_everywhere<h2o<>>({}, -1); }
TEST_CASE("streaming_llm: no allocation, no thread") { check_everywhere<streaming_llm<>>(); }
TEST_CASE("random: no allocation, no thread") { check_everywhere<kvsieve::random<>>(); }

TEST_CASE("attend: no allocation, no thread") {
  support::layer<bf16, 128> const l(2, 5, 3000, 1, support::layout::packed, support::content::normal, 3);
  support::tensor<float, 128> out(10, 1);
  auto const run = [&](auto const& on) {
    auto const q = l.queries.view();
    auto const layer = l.const_view();
    auto const o = out.view();
    support::workspace memory(attend_workspace_bytes(on, q, layer));
    auto const span = memory.span();
    long const threads_before = threads(), before = allocations.load();
    status const s = attend(on, q, layer, o, span);
    long const after = allocations.load(), threads_after = threads();
    CHECK(s);
    CHECK(after == before);
    CHECK(threads_after == threads_before);
  };
  run(host::on{});
  host::team team{4};
  run(host::on{team});
}
