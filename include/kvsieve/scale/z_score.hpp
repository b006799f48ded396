// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores in standard deviations of their layer, so that different scores can be added up and heads compared (Compactor,
// arXiv 2507.08143).
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace scale {

/// score = (score - mean) / max(deviation, 1e-6), both over all heads and scored tokens of a view, the deviation with
/// divisor n - 1 (0 for a single token). Scores that are not finite take no part and stay.
struct z_score : policy_base<stages::scale> {
  static constexpr bool scales = true;  ///< scores pass through scaled()

  /// The score from its own and the mean and standard deviation of the layer.
  KVSIEVE_HD static constexpr float scaled(float score, float mean, float deviation) {
    return finite(score) ? (score - mean) / max(deviation, 1e-6f) : score;
  }
};
}  // namespace scale
}  // namespace kvsieve::inline v0
