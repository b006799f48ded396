// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The defensive prior: no token counts less than the mean of its head, since what was not looked at so far may still be
// (DefensiveKV's correction of its worst case).
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace lift {

/// score[t] = max(score[t], mean over the head's scored tokens). Scores that are not finite take no part and stay.
struct mean : policy_base<stages::lift> {
  static constexpr bool lifts = true;  ///< scores pass through lifted()

  /// `least` is the mean of the head.
  KVSIEVE_HD static constexpr float lifted(float score, float least) {
    return finite(score) && score < least ? least : score;
  }
};
}  // namespace lift
}  // namespace kvsieve::inline v0
