// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// No smoothing: every token by itself.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace smooth {
/// Scores as they are.
struct none : policy_base<stages::smooth> {
  static constexpr bool pools = false;  ///< nothing to do along the tokens
};
}  // namespace smooth
}  // namespace kvsieve::inline v0
