// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the program prints at its end and writes as JSON: a line for each benchmark.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

namespace kvsieve::bench {

/// Median and quartiles.
struct spread {
  double low = 0, median = 0, high = 0;
};
[[nodiscard]] inline spread spread_of(std::vector<double> x) {
  if (x.empty()) return {};
  std::sort(x.begin(), x.end());
  auto const at = [&](double f) { return x[static_cast<std::size_t>(f * static_cast<double>(x.size() - 1) + 0.5)]; };
  return {at(0.25), at(0.5), at(0.75)};
}

/// One benchmark's outcome; ratios are against the limit loop run beside it.
struct record {
  std::string name, dtype;
  int tokens = 0;
  std::string limit;    ///< what the ratio is of
  spread milliseconds;  ///< wall clock
  double best_milliseconds = 0, cpu_milliseconds = 0;
  spread ratio, cpu_ratio;
  long allocations = 0;
  double goal = 0;  ///< fraction to reach; negative: to stay under; 0: none
};

std::vector<record>& records();
void print_table();
/// Writes the table, the limits and what was measured where; false when the file cannot be written.
[[nodiscard]] bool write_json(char const* path);
}  // namespace kvsieve::bench
