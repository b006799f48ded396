// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Average pool along the tokens, so that neighbours of a needed token stay with it (SnapKV, arXiv 2404.14469).
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/smooth/pool_width.hpp>

namespace kvsieve::inline v0 {
namespace smooth {

/// score[t] = sum of the scores in [t - kernel/2, t + kernel/2] / kernel; beyond the ends counts 0 and is divided by as
/// well. A score that is not finite stays as it is and adds nothing to its neighbours. `Kernel` tokens wide unless
/// params say otherwise: methods differ in it (Compactor, arXiv 2507.08143, has 3).
template <int Kernel>
struct average_by : policy_base<stages::smooth> {
  static constexpr bool pools = true;  ///< scores pass through pooled()

  /// Its number.
  using params = pool_width<Kernel>;

  /// The pooled score of token t out of `tokens`.
  KVSIEVE_HD static constexpr float pooled(params const& p, float const* score, int tokens, int t) {
    if (!finite(score[t])) return score[t];
    float sum = 0;
    for (int i = p.from(t), to = p.to(tokens, t); i < to; ++i) sum += finite(score[i]) ? score[i] : 0.0f;
    return sum / static_cast<float>(p.kernel);
  }
};
/// SnapKV's: 5 tokens wide unless params say otherwise.
struct average : average_by<5> {};
}  // namespace smooth
}  // namespace kvsieve::inline v0
