// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Mean over all observed queries: SnapKV's (arXiv 2404.14469).
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Mean over all observed queries.
struct mean : additive_base {
  /// The token's number from the final state.
  KVSIEVE_HD static constexpr float result(float state, observation o) { return state / static_cast<float>(o.queries); }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
