// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The ways a scorer walks a cache. A driver implements each way once per backend; a scorer only supplies the body.
#pragma once
#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {
namespace patterns {
struct per_row {};      ///< an optional summary over all rows, then every row by itself
struct per_chunk {};    ///< every row against a summary of the chunk that follows its own
struct per_query {};    ///< every observed query's probabilities, folded by an aggregate policy
struct by_position {};  ///< from the token's index alone
}  // namespace patterns

/// What a scorer itself keeps, whatever the scores say: the first `head` and the last `tail` tokens.
struct forced_ends {
  int head = 0;  ///< first tokens
  int tail = 0;  ///< last tokens
};

/// Equal spans of tokens in which a selection may be made apart: `count` spans of `length` from `begin` on.
struct partition {
  int begin = 0;   ///< first token of the first span
  int length = 0;  ///< tokens of a span
  int count = 0;   ///< spans
};
}  // namespace kvsieve::inline v0
