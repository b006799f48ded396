// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// kvsieve_bench: the benchmarks, then a table of what share of the machine's limits each operation reached.
//   --benchmark_...     what Google Benchmark understands, first of all --benchmark_filter=REGEX
//   --table_out=FILE    writes the table as JSON too
#include <benchmark/benchmark.h>

#include <cstdio>
#include <string_view>
#include <vector>

#include "limits.hpp"
#include "record.hpp"

int main(int argc, char** argv) {
  using namespace kvsieve::bench;
  constexpr std::string_view flag = "--table_out=";
  char const* table = nullptr;
  std::vector<char*> rest;
  bool lists = false;
  for (int i = 0; i < argc; ++i) {
    std::string_view const word = argv[i];
    if (i > 0 && word.starts_with(flag))
      table = argv[i] + flag.size();
    else
      rest.push_back(argv[i]);
    lists = lists || word.starts_with("--benchmark_list_tests");
  }
  int count = static_cast<int>(rest.size());
  rest.push_back(nullptr);
  benchmark::Initialize(&count, rest.data());
  if (benchmark::ReportUnrecognizedArguments(count, rest.data())) return 2;
  if (!lists) (void)measured_limits();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  if (lists) return 0;
  print_table();
  if (table != nullptr && !write_json(table)) {
    std::fprintf(stderr, "kvsieve_bench: cannot write %s\n", table);
    return 1;
  }
  return 0;
}
