// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// DefensiveKV's worst case: what matters to any query may matter again, so a token counts the most that a query gave to
// it and its neighbours. Steps 3 and 4 of the source (FFY0/DefensiveKV); aggregate::group_max and lift::mean are the
// others.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {

/// The largest R over the observed queries. R is a query's probabilities over the tokens that are scored,
/// average-pooled along these tokens and scaled so that they keep their sum: R = pool(p) sum(p) / sum(pool(p)), 0 for a
/// query that gave none of them anything.
struct worst_case : state_base<1> {
  static constexpr bool pools_tokens = true;  ///< drivers fold R instead of p
  static constexpr int most_kernel = 31;      ///< tokens; a pool lies on the stack

  /// Its number.
  struct params {
    int kernel = 5;  ///< tokens of a pool, odd, up to 31
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("kernel", self.kernel, "tokens", "width of the pool, odd, at most 31");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      if (kernel > 0 && kernel % 2 == 0) return fail(errc::bad_params, "aggregate.kernel", kernel, "must be odd;", 1);
      return range::within("aggregate.kernel", kernel, 1, most_kernel);
    }
  };
  /// A query's weight is a factor.
  KVSIEVE_HD static constexpr float factor(float weight) { return weight; }
  /// Width of the pool.
  static constexpr int kernel(params const& p) { return p.kernel; }
  /// The state with R of one query folded in.
  template <class S>
  KVSIEVE_HD static void update(params const&, S (&state)[1], S r) {
    state[0] = where(state[0] < r, r, state[0]);
  }
  /// Two states as one.
  template <class S>
  KVSIEVE_HD static void combine(params const& p, S (&state)[1], S const (&later)[1]) {
    update(p, state, later[0]);
  }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static S result(params const&, S const (&state)[1], observation<S> const&) {
    return state[0];
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
