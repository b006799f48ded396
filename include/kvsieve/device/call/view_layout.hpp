// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What kernels that split tokens among views are told of each: the host writes it to device memory.
#pragma once
#include <kvsieve/core/forced.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view; sinks and recent tokens are those of a head that keeps what the budget asks for.
struct view_layout {
  int tokens, sink, recent;
  bool whole;  ///< keeps everything

  /// Forced tokens of a head.
  [[nodiscard]] KVSIEVE_HD int forced(int const* white_list, int white_count) const {
    int const size = forced_set{tokens, sink, recent, white_list, white_count}.size();
    return size < 0 ? 0 : size < tokens ? size : tokens;  // a white list that does not ascend is no danger
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
