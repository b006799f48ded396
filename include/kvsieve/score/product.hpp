// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The product of two scores, each with stages of its own.
#pragma once
#include <kvsieve/score/two_scores.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] = first[t] * second[t]. `First` and `Second` are strategies, of which the stages up to heads are used.
/// Meant for scores that are not negative; NaN where either is.
template <strategy First, strategy Second>
struct product : two_scores<First, Second> {
  /// Its numbers.
  struct params {
    typename First::params first{};    ///< of the first score
    typename Second::params second{};  ///< of the second
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      detail::each_of_half(self.first, "first", visit);
      detail::each_of_half(self.second, "second", visit);
    }
  };

  /// The score of a token from the two.
  template <class Params>
  KVSIEVE_HD static constexpr float joined(Params const&, float first, float second) {
    return first * second;
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
