// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The limits themselves, as benchmarks.
#include <benchmark/benchmark.h>

#include "limits.hpp"
#include "pool.hpp"
#include "team.hpp"

namespace kvsieve::bench {
namespace {
constexpr std::size_t bytes = std::size_t{64} << 20;

template <class Loop>
void timed(benchmark::State& state, double moved, Loop const& loop) {
  for (auto _ : state) state.SetIterationTime(time_of(loop).wall);
  state.SetBytesProcessed(static_cast<std::int64_t>(moved) * static_cast<std::int64_t>(state.iterations()));
}
void read(benchmark::State& state) {
  timed(state, bytes, [] { read_sum(pool<float>().take(bytes / 4), bytes); });
}
void streaming(benchmark::State& state) {
  timed(state, 2.0 * bytes, [] { copy_streaming(sink().take(bytes), pool<float>().take(bytes / 4), bytes); });
}
void plain(benchmark::State& state) {
  timed(state, 2.0 * bytes, [] { copy_plain(sink().take(bytes), pool<float>().take(bytes / 4), bytes); });
}
void fused(benchmark::State& state) {
  double done = 0;
  for (auto _ : state) state.SetIterationTime(time_of([&] { done = multiply_add(2e9); }).wall);
  state.counters["flops"] = benchmark::Counter(done, benchmark::Counter::kIsIterationInvariantRate);
}
void wake(benchmark::State& state) {
  for (auto _ : state) state.SetIterationTime(time_of([] { workers()(0, [](int) {}); }).wall);
}
BENCHMARK(read)->Name("core/limits/read")->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(15);
BENCHMARK(streaming)
    ->Name("core/limits/streaming_copy")
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond)
    ->Iterations(15);
BENCHMARK(plain)->Name("core/limits/plain_copy")->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(15);
BENCHMARK(fused)->Name("core/limits/multiply_add")->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(15);
BENCHMARK(wake)->Name("core/limits/wake_team")->UseManualTime()->Unit(benchmark::kMicrosecond)->Iterations(500);
}  // namespace
}  // namespace kvsieve::bench
