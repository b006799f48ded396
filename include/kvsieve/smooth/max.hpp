// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Max pool along the tokens: a peak lifts its neighbours.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/smooth/pool_width.hpp>

namespace kvsieve::inline v0 {
namespace smooth {

/// score[t] = largest score in [t - kernel/2, t + kernel/2].
/// A score that is not finite stays as it is and adds nothing to its neighbours.
struct max : policy_base<stages::smooth> {
  static constexpr bool pools = true;  ///< scores pass through pooled()

  /// Its number.
  using params = pool_width<5>;

  /// The pooled score of token t out of `tokens`.
  KVSIEVE_HD static constexpr float pooled(params const& p, float const* score, int tokens, int t) {
    if (!finite(score[t])) return score[t];
    float best = score[t];
    for (int i = p.from(t), to = p.to(tokens, t); i < to; ++i)
      best = finite(score[i]) && best < score[i] ? score[i] : best;
    return best;
  }
};
}  // namespace smooth
}  // namespace kvsieve::inline v0
