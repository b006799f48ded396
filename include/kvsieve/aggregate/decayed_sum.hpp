// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A sum that forgets: what older queries gave counts less with every query after them. Scissorhands (arXiv 2305.17118)
// and the decayed forms of H2O.
#pragma once
#include <cmath>

#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/range.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Sum over the observed queries of decay^(queries - 1 - query) * p.
struct decayed_sum : linear_base {
  /// Its number.
  struct params {
    float decay = 0.99f;  ///< in (0, 1]
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("decay", self.decay, "factor", "what a query counts of the one after it, in (0, 1]");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::above("aggregate.decay", decay, 0), range::at_most("aggregate.decay", decay, 1));
    }
  };
  /// The last query counts 1.
  KVSIEVE_HD static float weight(params const& p, int query, int queries, int /*visible*/) {
    return ::powf(p.decay, static_cast<float>(queries - 1 - query));
  }
  /// Each further query takes as much from what was there.
  KVSIEVE_HD static constexpr float keep(params const& p) { return p.decay; }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static constexpr S result(params const&, S const (&state)[1], observation<S> const&) {
    return state[0];
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
