// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The weighted sum of two scores, each with stages of its own: aggregate, pooling, z-score.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/score/two_scores.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] = first[t] + weight * second[t]. `First` and `Second` are strategies, of which the stages up to heads are
/// used; give them scale::z_score where their units differ. NaN where either is.
template <strategy First, strategy Second>
struct blend : two_scores<First, Second> {
  /// Its numbers.
  struct params {
    typename First::params first{};    ///< of the first score
    typename Second::params second{};  ///< of the second
    float weight = 1.0f;               ///< of the second, beside 1 for the first
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      detail::each_of_half(self.first, "first", visit);
      detail::each_of_half(self.second, "second", visit);
      visit("weight", self.weight, "factor", "of the second score, beside 1 for the first");
    }
    /// Ok, or the number that is out of range; the halves' own are looked at by their scorers.
    [[nodiscard]] constexpr status check() const {
      return range::within("score.weight", static_cast<double>(weight), -1e30, 1e30);
    }
  };

  /// The score of a token from the two.
  template <class Params>
  KVSIEVE_HD static constexpr float joined(Params const& p, float first, float second) {
    return first + p.weight * second;
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
