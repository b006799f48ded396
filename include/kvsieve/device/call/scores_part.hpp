// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What launches over rows of scores are told of a view, and how a block walks its segment of a row.
#pragma once
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Tokens of a row of scores that one block treats, in the bodies that work on scores alone.
inline constexpr int segment_scores = 2048;

/// One view of a launch over scores.
struct scores_part {
  float* score;   ///< [heads] rows of `stride`: what is read
  float* result;  ///< the same shape: what is written; may be `score` where the body says so
  index stride;
  int tokens, heads;
  int first;       ///< where the tokens begin that have scores of their own; the scorer forces those before
  int scored;      ///< where they end; the scorer forces those behind
  int first_head;  ///< heads of all views before this one
};

template <class Params>
struct scores_args {
  batch<scores_part> views;
  Params params;
};

/// Calls f(t) for the tokens of a segment of `tokens`, shared out among the threads of a block.
template <block Block, class F>
KVSIEVE_HD inline void each_score(Block& b, int segment, int tokens, F const& f) {
  for (index i = b.rank(), t = index{segment} * segment_scores + i; i < segment_scores && t < tokens;
       i += Block::threads, t += Block::threads)
    f(static_cast<int>(t));
}
}  // namespace device
}  // namespace kvsieve::inline v0
