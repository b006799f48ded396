// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// CAKE's indicator, which also measures how a layer spreads and shifts its attention, for budget::entropy_variance.
#pragma once
#include <kvsieve/aggregate/mean_variance.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {

/// The score of mean_variance. Beside it two numbers of a view, each the sum over query heads and scored tokens: the
/// entropy, of -p ln(p + 1e-10) over all observed queries, and the unbiased variance of p over them. (CAKE: Cascading
/// and Adaptive KV cache Eviction, ICLR 2025.)
struct mean_variance_entropy : sums_base<3> {
  using params = mean_variance::params;                               ///< its number
  static constexpr int least_queries = mean_variance::least_queries;  ///< a single query has no variance
  static constexpr int statistics = 2;                                ///< numbers of a view: entropy, variance

  /// The state with the probability p folded in.
  template <class S>
  KVSIEVE_HD static void update(params const&, S (&state)[3], S p) {
    state[0] = state[0] + p;
    state[1] = state[1] + p * p;
    state[2] = state[2] + p * log2(p + S(1e-10f));
  }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static S result(params const& p, S const (&state)[3], observation<S> const& o) {
    S const own[2] = {state[0], state[1]};
    return mean_variance::result(p, own, o);
  }
  /// What the token adds to the view's numbers.
  template <class S>
  KVSIEVE_HD static void measure(params const&, S const (&state)[3], observation<S> const& o, S (&part)[statistics]) {
    S const own[2] = {state[0], state[1]};
    part[0] = S(-0.6931471806f) * state[2];
    part[1] = mean_variance::variance(own, o);
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
