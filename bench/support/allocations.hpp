// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once

namespace kvsieve::bench {
/// Calls of operator new so far, in all threads.
[[nodiscard]] long allocations();
}  // namespace kvsieve::bench
