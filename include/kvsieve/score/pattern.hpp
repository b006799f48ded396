// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The ways a scorer walks a cache. A driver implements each way once per backend; a scorer only supplies the body.
#pragma once
#include <kvsieve/core/forced.hpp>

namespace kvsieve::inline v0 {
namespace patterns {
struct per_row {};      ///< an optional summary over all rows, then every row by itself
struct per_pair {};     ///< as per_row with a summary, then every row against the others from the last one back
struct per_chunk {};    ///< every row against a summary of the chunk that follows its own
struct per_query {};    ///< every observed query's probabilities, folded by an aggregate policy
struct per_hidden {};   ///< every hidden state by itself, through a table of weights
struct by_position {};  ///< from the token's index alone
struct per_head {};     ///< all rows of a KV head at once: moments, a factorisation, then every row
struct joined {};       ///< the scores of two strategies, token by token
}  // namespace patterns
}  // namespace kvsieve::inline v0
