// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KV heads of a layer: each with scores of its own, or one row of scores for all of them.
#pragma once
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace aggregate {
/// Every KV head keeps the tokens that matter to it.
struct heads_apart : policy_base<stages::heads> {
  static constexpr bool joins = false;
};
/// All KV heads of a layer keep the tokens with the largest mean score over them (TOVA).
struct heads_mean : policy_base<stages::heads> {
  static constexpr bool joins = true;
};
}  // namespace aggregate
}  // namespace kvsieve::inline v0
