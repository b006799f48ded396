// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How unsteadily a token is looked at, over the queries that could see it, and beside that how much: RoCo ("On the
// Efficacy of Eviction Policy for Key-Value Constrained Generative Language Model Inference").
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {

/// What is remembered of the group's mean probability: its sum and the sum of its squares.
struct deviation_sums : sums_base<2> {
  static constexpr bool folds_groups = true;  ///< a state for each KV head
  /// The state with the probability p folded in.
  template <class S>
  KVSIEVE_HD static void update(params const&, S (&state)[2], S p) {
    state[0] = state[0] + p;
    state[1] = state[1] + p * p;
  }

 protected:
  /// A sum over the queries that saw the token, as their mean; 0 where none did.
  template <class S>
  KVSIEVE_HD static S over_visible(S sum, observation<S> const& o) {
    return sum / where(S(0.0f) < o.visible, o.visible, S(1.0f));
  }
};

/// Mean over the queries that could see the token: what RoCo evicts by in its scope.
struct deviation_mean : deviation_sums {
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static S result(params const&, S const (&state)[2], observation<S> const& o) {
    return over_visible(state[0], o);
  }
};

/// Standard deviation over the queries that could see the token, divided by their number. `second`, with the same
/// state, is the mean, for a selection by two scores.
struct deviation : deviation_sums {
  using second = deviation_mean;  ///< the number beside it
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static S result(params const&, S const (&state)[2], observation<S> const& o) {
    S const mean = over_visible(state[0], o), spread = over_visible(state[1], o) - mean * mean;
    // Rounding may leave a little less than nothing of equal probabilities.
    return kvsieve::sqrt(where(spread < S(0.0f), S(0.0f), spread));
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
