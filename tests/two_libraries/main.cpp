// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <cstdio>

#include <kvsieve/core/status.hpp>

#include "library.hpp"

int main() {
  auto const too_small = static_cast<int>(kvsieve::errc::workspace_too_small);
  alignas(64) static unsigned char rows[64];  // never read: the workspace is refused before
  library_answer const a = ask_first(rows, nullptr), b = ask_second(rows, nullptr);
  std::printf("tags %08x and %08x, %zu and %zu bytes, refused with %d and %d\n", a.tag, b.tag, a.device_bytes,
              b.device_bytes, a.refused, b.refused);
  bool const apart = a.tag != b.tag, same = a.device_bytes == b.device_bytes && a.host_bytes == b.host_bytes;
  return apart && same && a.device_bytes > 0 && a.refused == too_small && b.refused == too_small ? 0 : 1;
}
