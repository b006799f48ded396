// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How many queries gave the token more than its uniform share: CORM's importance (arXiv 2404.15949).
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Number of observed queries with p >= threshold / keys that the query sees.
struct count_above : sums_base<1> {
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
  /// The state with the share p folded in.
  template <class S>
  KVSIEVE_HD static void update(params const&, S (&state)[1], S p) {
    state[0] = state[0] + where(p < S(1.0f), S(0.0f), S(1.0f));
  }
  /// The token's number from the final state.
  template <class S>
  KVSIEVE_HD static S result(params const&, S const (&state)[1], observation<S> const&) {
    return state[0];
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
