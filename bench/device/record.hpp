// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What was measured, as a table and as JSON.
#pragma once
#include <string>
#include <vector>

#include "gpu.hpp"

namespace kvsieve::bench::gpu {

/// What an operation cannot avoid: every input read once, every output written once, one pass of products.
struct cost {
  double read = 0, written = 0;  ///< bytes
  double flops = 0;
};

struct record {
  std::string name, dtype;
  int tokens = 0, layers = 1;
  cost least;
  spread seconds;
  std::string wrong;  ///< how the result differs from the host's; such an operation is not timed
};
std::vector<record>& records();

/// Of the time, the share that the slowest unavoidable part takes at the measured limits; `of` names the part.
struct share {
  double fraction = 0;
  char const* of = "";
};
[[nodiscard]] share share_of_limit(record const& r);

/// About the run: `commit` and `date` as given on the command line.
struct about {
  std::string commit, date;
};
void print_table(about const& a);
/// @returns false when the file cannot be written.
[[nodiscard]] bool write_json(char const* path, about const& a);
}  // namespace kvsieve::bench::gpu
