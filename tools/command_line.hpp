// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The `kvsieve` program as a function, so that tests run it in process.
#pragma once
#include <iosfwd>

namespace kvsieve::tool {

/// What the two streams are connected to; the defaults suit a file or a test.
struct terminal {
  bool colour = false;    ///< the output stream shows colours
  bool progress = false;  ///< the error stream is a terminal: a line on it may be overwritten
};

/// Runs the program: results to `out`, messages and progress to `err`.
/// @returns 0 done, 1 the run failed, 2 the command line is wrong
[[nodiscard]] int run(int argc, char const* const* argv, std::ostream& out, std::ostream& err, terminal where = {});

}  // namespace kvsieve::tool
