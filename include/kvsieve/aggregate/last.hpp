// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Only what the last observed query gave the token, as TOVA (arXiv 2401.06104) does at every step.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// What the last observed query gave the token.
struct last : additive_base {
  /// Only the last query counts.
  KVSIEVE_HD static constexpr float weight(int query, int queries) { return query == queries - 1 ? 1.0f : 0.0f; }
  /// The token's number from the final state.
  KVSIEVE_HD static constexpr float result(float state, observation) { return state; }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
