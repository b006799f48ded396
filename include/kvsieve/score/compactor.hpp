// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compactor: non-causal attention and leverage, added up in standard deviations. Chari et al., "Compactor: Calibrated
// Query-Agnostic KV Cache Compression with Approximate Leverage Scores", arXiv 2507.08143.
#pragma once
#include <kvsieve/scale/z_score.hpp>
#include <kvsieve/score/blend.hpp>
#include <kvsieve/score/leverage.hpp>
#include <kvsieve/score/non_causal_attention.hpp>
#include <kvsieve/smooth/average.hpp>
#include <kvsieve/weigh/value_norm.hpp>

namespace kvsieve::inline v0 {
namespace score {

namespace detail {
using non_causal_half = compressor<non_causal_attention, weigh::value_norm, smooth::average_by<3>, scale::z_score>;
using leverage_half = compressor<leverage, scale::z_score>;
}  // namespace detail

/// blend of z(pool(non_causal_attention x value norm)) and z(leverage), with the method's own defaults: 8 first and 4
/// last tokens forced, pools of 3, weight 0.35. kvpress's weight follows the fraction removed: give weight = 1 - keep.
struct compactor : blend<detail::non_causal_half, detail::leverage_half> {
  /// The numbers of a blend.
  struct params {
    detail::non_causal_half::params first{.score = {.sink = 8, .recent = 4}};  ///< of the attention
    detail::leverage_half::params second{.score = {.sink = 8, .recent = 4}};   ///< of the leverage
    float weight = 0.35f;  ///< of the leverage, beside 1 for the attention
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      blend::params::each(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::within("score.weight", static_cast<double>(weight), -1e30, 1e30);
    }
  };
};
}  // namespace score
}  // namespace kvsieve::inline v0
