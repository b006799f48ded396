// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The most that any observed query gave the token.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// The most that any observed query gave the token, times the query's weight.
struct max : state_base<1> {
  static constexpr bool takes_logits = true;  ///< with init_lowest()
  /// Folding logits, a token that no query saw has the lowest score.
  template <class S>
  KVSIEVE_HD static void init_lowest(no_params const&, S (&state)[1]) {
    state[0] = S(-__builtin_inff());
  }
  /// A query's weight is a factor.
  KVSIEVE_HD static constexpr float factor(float weight) { return weight; }
  /// The state with the probability p folded in.
  template <class S>
  KVSIEVE_HD static void update(params const&, S (&state)[1], S p) {
    state[0] = larger(state[0], p);
  }
  /// Two states as one.
  template <class S>
  KVSIEVE_HD static void combine(params const&, S (&state)[1], S const (&later)[1]) {
    state[0] = larger(state[0], later[0]);
  }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static S result(params const&, S const (&state)[1], observation<S> const&) {
    return state[0];
  }

 private:
  template <class S>
  KVSIEVE_HD static S larger(S a, S b) {
    return where(a < b, b, a);
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
