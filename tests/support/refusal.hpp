// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a refused call has to look like.
#pragma once
#include <string>
#include <vector>

#include <catch2/catch_all.hpp>

#include <kvsieve/core/status.hpp>

namespace support {

[[nodiscard]] inline std::string message_of(kvsieve::status const& s) {
  char buffer[256];
  return std::string(s.message(buffer));
}

/// Checks the code, and that the message names every part: the argument and both values.
inline void check_refused(kvsieve::status const& s, kvsieve::errc code, std::vector<std::string> const& parts) {
  std::string const text = message_of(s);
  CAPTURE(text);
  CHECK(!s);
  CHECK(static_cast<int>(s.code) == static_cast<int>(code));
  for (auto const& part : parts) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}
}  // namespace support
