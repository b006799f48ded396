// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// No lift: scores as they are.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace lift {
/// Scores as they are.
struct none : policy_base<stages::lift> {
  static constexpr bool lifts = false;  ///< nothing to do
};
}  // namespace lift
}  // namespace kvsieve::inline v0
