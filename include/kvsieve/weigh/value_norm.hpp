// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Weight by the value's length: a token that is looked at but carries nothing can go. As Expected Attention (kvpress)
// and Compactor (arXiv 2507.08143) weigh theirs.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace weigh {

/// score[t] = (score[t] + epsilon) * ||v_t||. Reads each value once. A value that is not finite makes the score NaN.
struct value_norm : policy_base<stages::weigh, needs::values> {
  static constexpr bool weighs = true;  ///< scores pass through apply()

  /// Its number.
  struct params {
    float epsilon = 0.0f;  ///< added to a score before the product
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("epsilon", self.epsilon, "score", "added before the product, so that long values count by themselves");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::at_least("weigh.epsilon", epsilon, 0); }
  };

  /// What a fragment of a value adds to its row's sum.
  template <class F>
  KVSIEVE_HD static F term(F value) {
    return value * value;
  }
  /// The weighed score from that sum; S is a float, or a fragment with a row in each lane.
  template <class S>
  KVSIEVE_HD static S apply(params const& p, S score, S squares) {
    S const weighed = (score + S(p.epsilon)) * sqrt(squares);
    return where(squares - squares == S(0.0f), weighed, S(__builtin_nanf("")));
  }
};
}  // namespace weigh
}  // namespace kvsieve::inline v0
