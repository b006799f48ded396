// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of the scorers that look at a token's index alone.
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

/// Block (segment, head, view): result[t] = the policy's score of token t.
template <class Score>
struct score_position_body {
  using args = scores_args<typename Score::params>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    float* const result = view.result + w.y * view.stride;
    each_score(b, w.x, view.tokens, [&](int t) { result[t] = Score::score(a.params, t, view.first_head + w.y); });
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
