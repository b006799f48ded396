// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the tests of the program share: the program run in process, and a folder with a dump for it.
#pragma once
#include <sstream>
#include <string>
#include <vector>

#include "command_line.hpp"
#include "files.hpp"

namespace kvsieve::test {

/// A folder with a small dump in it.
struct with_dump : scratch {
  std::string dump = *this / "d.safetensors";
  with_dump() { small_dump{}.write(dump); }
};

/// The program, run in process.
struct program {
  std::string out, err;
  int status = 0;

  explicit program(std::vector<std::string> const& arguments) {
    std::vector<char const*> argv{"kvsieve"};
    for (auto const& a : arguments) argv.push_back(a.c_str());
    argv.push_back(nullptr);
    std::ostringstream to_out, to_err;
    status = tool::run(static_cast<int>(argv.size()) - 1, argv.data(), to_out, to_err);
    out = to_out.str();
    err = to_err.str();
  }
};

}  // namespace kvsieve::test
