// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How likely a token is to be looked at again, from the last time it was and the longest it was not between two times:
// the importance of LazyEviction (arXiv 2506.15969).
#pragma once
#include <cmath>

#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {

/// With the observed queries as steps 1 to n, a token is hit at step t where p >= threshold. e is n less the last such
/// step, g the largest gap between two of them; a token without a hit, and the first gap, count from the step before
/// the first that sees the token.
///   score = 2 / (1 + exp(1 + e / (g + 1e-5))) + (2 / (1 + exp(g - 1)), 0 where g is 0)
struct last_above_with_gap : state_base<3> {
  static constexpr bool in_order = true;  ///< update() is told which query

  /// Its number.
  struct params {
    float threshold = 1e-4f;  ///< probability, from 1e-20 to 1
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("threshold", self.threshold, "probability", "from which on a query hits a token");
    }
    // 1 / threshold has to be a float.
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::within("aggregate.threshold", threshold, 1e-20, 1); }
  };
  /// Probabilities in units of the threshold.
  KVSIEVE_HD static constexpr float weight(params const& p, int /*query*/, int /*queries*/, int /*visible*/) {
    return 1.0f / p.threshold;
  }
  /// The state, [first hit, last hit, largest gap between hits] with 0 for none, with p folded in.
  template <class S>
  KVSIEVE_HD static void update(params const& numbers, S (&state)[3], S p, int query) {
    S const hit = where(p < S(1.0f), S(0.0f), S(static_cast<float>(query + 1)));
    S const later[3] = {hit, hit, S(0.0f)};
    combine(numbers, state, later);
  }
  /// Two states as one.
  template <class S>
  KVSIEVE_HD static void combine(params const&, S (&state)[3], S const (&later)[3]) {
    S const zero(0.0f), between = where(zero < state[1], later[0] - state[1], zero);
    S const gap = larger(larger(state[2], later[2]), where(zero < later[0], between, zero));
    state[0] = where(zero < state[0], state[0], later[0]);
    state[1] = larger(state[1], later[1]);
    state[2] = gap;
  }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static S result(params const&, S const (&state)[3], observation<S> const& o) {
    S const zero(0.0f), one(1.0f), steps(o.queries), start = steps - o.visible;
    auto const hit = zero < state[0];
    S const gap = where(hit, larger(state[2], state[0] - start), zero);
    S const elapsed = steps - where(hit, state[1], start);
    S const again = where(zero < gap, falling(larger(gap - one, zero)), zero);
    return falling(one + elapsed / (gap + S(1e-5f))) + again;
  }

 private:
  template <class S>
  KVSIEVE_HD static S larger(S a, S b) {
    return where(a < b, b, a);
  }
  // 2 / (1 + exp(x)) for x >= 0.
  template <class S>
  KVSIEVE_HD static S falling(S x) {
    S const power = x * S(-1.4426950408889634f);
    S inverse;
    if constexpr (cs::is_same_v<S, float>)
      inverse = ::exp2f(power);
    else
      inverse = exp2(power);
    return (inverse + inverse) / (S(1.0f) + inverse);
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
