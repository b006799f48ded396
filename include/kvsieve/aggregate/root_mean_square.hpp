// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Root mean square over the observed queries: between the mean and the most that a query gave.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// sqrt(sum of weight * p^2 / sum of weights). Probabilities below 1e-19 count as 0: their squares are no floats.
struct root_mean_square : sums_base<1> {
  /// The weight of a query is one of squares.
  KVSIEVE_HD static float factor(float weight) { return kvsieve::sqrt(weight); }
  /// The state with the probability p folded in.
  template <class S>
  KVSIEVE_HD static void update(params const&, S (&state)[1], S p) {
    state[0] = state[0] + p * p;
  }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static S result(params const&, S const (&state)[1], observation<S> const& o) {
    return sqrt(state[0] / S(o.queries));
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
