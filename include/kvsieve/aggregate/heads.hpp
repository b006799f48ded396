// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KV heads of a layer: each with scores of its own, or scores that know of the other heads.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Every KV head keeps the tokens that matter to it.
struct heads_apart : policy_base<stages::heads> {
  static constexpr bool joins = false;  ///< a row of scores for each head
};
/// All KV heads of a layer keep the tokens with the largest mean score over them (TOVA).
struct heads_mean : policy_base<stages::heads> {
  static constexpr bool joins = true;  ///< scores pass through joined()
  /// The joined score from a head's own, the sum over all heads, and their number.
  KVSIEVE_HD static constexpr float joined(float /*own*/, float sum, int heads) {
    return sum / static_cast<float>(heads);
  }
};
/// All KV heads of a layer keep the tokens with the largest sum over them (ChunkKV).
struct heads_sum : policy_base<stages::heads> {
  static constexpr bool joins = true;  ///< scores pass through joined()
  /// The joined score from a head's own, the sum over all heads, and their number.
  KVSIEVE_HD static constexpr float joined(float /*own*/, float sum, int /*heads*/) { return sum; }
};
/// Every head's own score and the mean over all of them (KVCompose).
struct heads_own_and_mean : policy_base<stages::heads> {
  static constexpr bool joins = true;  ///< scores pass through joined()
  /// The joined score from a head's own, the sum over all heads, and their number.
  KVSIEVE_HD static constexpr float joined(float own, float sum, int heads) {
    return own + sum / static_cast<float>(heads);
  }
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
