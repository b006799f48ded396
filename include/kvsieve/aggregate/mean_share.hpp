// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Mean of probabilities in units of the uniform share: FINCH's normalisation (Corallo and Papotti, TACL 2024), which
// makes queries that see few keys count as much as those that see many.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Mean over the observed queries of p times the number of keys that the query sees.
struct mean_share : policy_base<stages::aggregate> {
  static constexpr bool linear = true;  ///< the state is the sum of weight * p
  static constexpr int states = 1;      ///< floats of state

  /// Its number.
  struct params {
    bool as_source = false;  ///< kvpress counts the keys before the query and not its own
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("as_source", self.as_source, "", "count the keys before the query and not its own, as kvpress does");
    }
  };
  /// Keys that the query sees.
  KVSIEVE_HD static constexpr float weight(params const& p, int /*query*/, int /*queries*/, int visible) {
    return static_cast<float>(p.as_source ? visible - 1 : visible);
  }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static constexpr S result(params const&, S const (&state)[1], observation<S> const& o) {
    return state[0] / S(o.queries);
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
