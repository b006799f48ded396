// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The last query that gave the token more than its uniform share: a token that none did for a while is a long-term
// minor one of CORM (arXiv 2404.15949).
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Index, from 0, of the last observed query with p >= threshold / keys that the query sees; -1 where there is none.
struct last_above : state_base<1> {
  static constexpr bool in_order = true;  ///< update() is told which query

  /// Its number.
  struct params {
    float threshold = 1.0f;  ///< in uniform shares, at least 1e-20
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("threshold", self.threshold, "shares", "multiple of 1 / visible keys from which a query counts");
    }
    // Visible keys / threshold has to be a float.
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::at_least("aggregate.threshold", threshold, 1e-20); }
  };
  /// Probabilities in units of the threshold.
  KVSIEVE_HD static constexpr float weight(params const& p, int /*query*/, int /*queries*/, int visible) {
    return static_cast<float>(visible) / p.threshold;
  }
  /// No query yet.
  template <class S>
  KVSIEVE_HD static void init(params const&, S (&state)[1]) {
    state[0] = S(-1.0f);
  }
  /// The state with the share p folded in.
  template <class S>
  KVSIEVE_HD static void update(params const& p, S (&state)[1], S share, int query) {
    S const seen[1] = {where(share < S(1.0f), S(-1.0f), S(static_cast<float>(query)))};
    combine(p, state, seen);
  }
  /// Two states as one: the later index.
  template <class S>
  KVSIEVE_HD static void combine(params const&, S (&state)[1], S const (&later)[1]) {
    state[0] = where(state[0] < later[0], later[0], state[0]);
  }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static S result(params const&, S const (&state)[1], observation<S> const&) {
    return state[0];
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
