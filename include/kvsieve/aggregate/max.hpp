// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The most that any observed query gave the token.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// The most that any observed query gave the token.
struct max : policy_base<stages::aggregate> {
  static constexpr bool additive = false;  ///< combine is not +
  /// Every query counts alike.
  KVSIEVE_HD static constexpr float weight(int /*query*/, int /*queries*/) { return 1.0f; }
  /// The state with the probability p folded in.
  template <class S>
  KVSIEVE_HD static S update(S state, S p) {
    return larger(state, p);
  }
  /// Two states as one.
  template <class S>
  KVSIEVE_HD static S combine(S a, S b) {
    return larger(a, b);
  }
  /// The token's number from the final state.
  KVSIEVE_HD static constexpr float result(float state, observation) { return state; }

 private:
  template <class S>
  KVSIEVE_HD static S larger(S a, S b) {
    return where(a < b, b, a);
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
