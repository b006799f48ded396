// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of the scorers that look at a token's index alone.
#pragma once
#include <kvsieve/device/call/scores_part.hpp>

namespace kvsieve::inline v0 {
namespace device {

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
