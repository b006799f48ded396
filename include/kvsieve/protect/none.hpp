// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// No protection: scores are compared as they are.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace protect {
/// Scores as they are.
struct none : policy_base<stages::protect> {
  static constexpr bool protects = false;  ///< nothing to do
};
}  // namespace protect
}  // namespace kvsieve::inline v0
