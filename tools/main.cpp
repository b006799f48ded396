// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string_view>

#include "command_line.hpp"

namespace {

bool set(char const* variable) {
  char const* const value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

}  // namespace

int main(int argc, char** argv) {
  char const* const kind = std::getenv("TERM");
  bool const dumb = kind != nullptr && std::string_view{kind} == "dumb";
  return kvsieve::tool::run(argc, argv, std::cout, std::cerr,
                            {.colour = ::isatty(STDOUT_FILENO) == 1 && !dumb && !set("NO_COLOR"),
                             .progress = ::isatty(STDERR_FILENO) == 1 && !dumb});
}
