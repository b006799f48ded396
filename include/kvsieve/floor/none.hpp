// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// No floor.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace floor {
/// Scores as they are.
struct none : policy_base<stages::floor> {
  static constexpr bool lifts = false;  ///< nothing to do
};
}  // namespace floor
}  // namespace kvsieve::inline v0
