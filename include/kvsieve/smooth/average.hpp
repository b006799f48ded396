// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Average pool along the tokens, so that neighbours of a needed token stay with it (SnapKV, arXiv 2404.14469).
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace smooth {

/// score[t] = sum of the scores in [t - kernel/2, t + kernel/2] / kernel; beyond the ends counts 0 and is divided by as
/// well. A score that is not finite stays as it is and adds nothing to its neighbours.
struct average : policy_base<stages::smooth> {
  static constexpr bool pools = true;  ///< scores pass through pooled()

  /// Its number.
  struct params {
    int kernel = 5;  ///< width of the pool in tokens, odd
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("kernel", self.kernel, "tokens", "width of the pool, odd");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      if (kernel > 0 && kernel % 2 == 0) return fail(errc::bad_params, "smooth.kernel", kernel, "must be odd;", 1);
      return range::at_least("smooth.kernel", kernel, 1);
    }
  };

  /// The pooled score of token t out of `tokens`.
  KVSIEVE_HD static constexpr float pooled(params const& p, float const* score, int tokens, int t) {
    if (!finite(score[t])) return score[t];
    int const reach = p.kernel / 2, from = t < reach ? 0 : t - reach, to = tokens - t <= reach ? tokens : t + reach + 1;
    float sum = 0;
    for (int i = from; i < to; ++i) sum += finite(score[i]) ? score[i] : 0.0f;
    return sum / static_cast<float>(p.kernel);
  }
};
}  // namespace smooth
}  // namespace kvsieve::inline v0
