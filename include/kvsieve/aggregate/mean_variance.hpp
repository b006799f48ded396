// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Mean plus variance over the observed queries: tokens whose attention shifts while the window moves may matter again.
// The indicator of CAKE (Cascading and Adaptive KV cache Eviction, ICLR 2025).
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// mean + gamma * variance over the observed queries, the variance unbiased: divided by queries - 1.
struct mean_variance : sums_base<2> {
  static constexpr int least_queries = 2;  ///< a single query has no variance

  /// Its number.
  struct params {
    float gamma = 200.0f;  ///< weight of the variance, at least 0
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("gamma", self.gamma, "factor", "weight of the variance over the queries");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      // A score has to be a float: the variance of probabilities is at most 1/2.
      return range::within("aggregate.gamma", gamma, 0, 1e30);
    }
  };
  /// The state with the probability p folded in.
  template <class S>
  KVSIEVE_HD static void update(params const&, S (&state)[2], S p) {
    state[0] = state[0] + p;
    state[1] = state[1] + p * p;
  }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static S result(params const& p, S const (&state)[2], observation<S> const& o) {
    return state[0] / S(o.queries) + S(p.gamma) * variance(state, o);
  }
  /// The unbiased variance over the queries.
  template <class S>
  KVSIEVE_HD static S variance(S const (&state)[2], observation<S> const& o) {
    S const average = state[0] / S(o.queries), spread = state[1] - state[0] * average;
    // Rounding may leave a little less than nothing of equal probabilities.
    return where(spread < S(0.0f), S(0.0f), spread) / S(o.queries - 1.0f);
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
