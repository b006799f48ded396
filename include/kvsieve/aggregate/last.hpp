// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Only what the last observed query gave the token, as TOVA (arXiv 2401.06104) does at every step.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// What the last observed query gave the token.
struct last : linear_base {
  /// Only the last query counts.
  KVSIEVE_HD static constexpr float weight(params const&, int query, int queries, int /*visible*/) {
    return query == queries - 1 ? 1.0f : 0.0f;
  }
  /// A further query leaves nothing of those before it.
  KVSIEVE_HD static constexpr float keep(params const&) { return 0.0f; }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static constexpr S result(params const&, S const (&state)[1], observation<S> const&) {
    return state[0];
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
