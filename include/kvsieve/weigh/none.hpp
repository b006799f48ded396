// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// No weight: scores stay as the queries or keys gave them.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace weigh {
/// Scores as they are.
struct none : policy_base<stages::weigh> {
  static constexpr bool weighs = false;  ///< nothing to do
};
}  // namespace weigh
}  // namespace kvsieve::inline v0
