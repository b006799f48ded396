// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// No scale: scores are compared as they are.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace scale {
/// Scores as they are.
struct none : policy_base<stages::scale> {
  static constexpr bool scales = false;  ///< nothing to do
};
}  // namespace scale
}  // namespace kvsieve::inline v0
