// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A benchmark and its limit, in turns: whatever else the machine does slows both, and their ratio stays.
#pragma once
#include <benchmark/benchmark.h>

#include <kvsieve/core/dtype.hpp>

#include <string>
#include <vector>

#include "allocations.hpp"
#include "record.hpp"
#include "shapes.hpp"
#include "team.hpp"

namespace kvsieve::bench {

/// What a benchmark does and what it is held against.
struct facts {
  char const* limit = "";  ///< name of the limit
  double bytes = 0;        ///< compulsory bytes of the operation
  double flops = 0;        ///< 0: not told
  double machine = 0;      ///< the limit as measured at the start, of the same unit as bytes or flops, in 1e9 a second
  double scale = 1;        ///< the limit loop does 1 / scale of the work
  double goal = 0;
  bool inverse = false;  ///< the ratio is operation / limit: a share to stay small
};

/// Runs limit and operation in turns for all iterations of `state`; the time reported is the operation's wall clock.
template <class Operation, class Limit>
void in_turns(benchmark::State& state, char const* name, dtype type, int tokens, facts const& f,
              Operation const& operation, Limit const& limit) {
  operation();
  limit();
  std::vector<double> wall, cpu, ratio, cpu_ratio;
  long allocated = 0;
  for (auto _ : state) {
    timing const l = time_of(limit);
    long const before = allocations();
    timing const o = time_of(operation);
    allocated += allocations() - before;
    state.SetIterationTime(o.wall);
    wall.push_back(o.wall * 1e3);
    cpu.push_back(o.cpu * 1e3);
    auto const quotient = [&](double of_limit, double own) {
      return f.inverse ? own / (of_limit * f.scale) : of_limit * f.scale / own;
    };
    ratio.push_back(quotient(l.wall, o.wall));
    cpu_ratio.push_back(quotient(l.cpu, o.cpu));
  }
  record r;
  r.name = name;
  r.dtype = name_of(type);
  r.tokens = tokens;
  r.limit = f.limit;
  r.milliseconds = spread_of(wall);
  r.best_milliseconds = *std::min_element(wall.begin(), wall.end());
  r.cpu_milliseconds = spread_of(cpu).median;
  r.ratio = spread_of(ratio);
  r.cpu_ratio = spread_of(cpu_ratio);
  r.allocations = allocated;
  r.goal = f.goal;
  records().push_back(r);

  using benchmark::Counter;
  auto const times = static_cast<double>(state.iterations());
  if (f.bytes > 0) state.SetBytesProcessed(static_cast<std::int64_t>(f.bytes * times));
  if (f.flops > 0) state.counters["flops"] = Counter(f.flops, Counter::kIsIterationInvariantRate);
  if (f.machine > 0) {
    double const work = f.flops > 0 ? f.flops : f.bytes;
    state.counters["of_limit"] = Counter(work / (f.machine * 1e9), Counter::kIsIterationInvariantRate);
  }
  state.counters["ratio_median"] = r.ratio.median;
  state.counters["ratio_q1"] = r.ratio.low;
  state.counters["ratio_q3"] = r.ratio.high;
  state.counters["cpu_ratio_median"] = r.cpu_ratio.median;
  state.counters["allocations"] = static_cast<double>(allocated);
}

/// Registers run<T>(state, tokens) as name/dtype/tokens for every length.
template <class... Ts, class Run>
int register_shapes(char const* name, Run const& run) {
  auto const one = [&](auto type, int tokens) {
    using T = decltype(type);
    std::string const full = std::string(name) + "/" + name_of(dtype_of<T>) + "/" + std::to_string(tokens);
    benchmark::RegisterBenchmark(full.c_str(), [run, tokens](benchmark::State& s) { run(T{}, s, tokens); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond)
        ->Iterations(rounds_of(tokens));
  };
  for (int const tokens : all_tokens) (one(Ts{}, tokens), ...);
  return 0;
}
}  // namespace kvsieve::bench
