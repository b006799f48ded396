// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies between scoring and selection: joining the heads of a layer, and pooling along the tokens.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/score_position.hpp>

namespace kvsieve::inline v0 {
namespace device {

struct join_heads_params {};

/// Block (segment, 0, view): the heads' scores of a token joined, added in ascending order. In place.
template <class Heads>
struct join_heads_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, scores_args<join_heads_params> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    for (index i = b.rank(), t = index{w.x} * segment_scores + i; i < segment_scores && t < view.tokens;
         i += Block::threads, t += Block::threads) {
      float sum = 0;
      for (int h = 0; h < view.heads; ++h) sum += view.score[h * view.stride + t];
      for (int h = 0; h < view.heads; ++h)
        view.result[h * view.stride + t] = Heads::joined(view.score[h * view.stride + t], sum, view.heads);
    }
  }
};

/// Block (segment, head, view): the pooled scores. A pool ends before the tokens that have no scores of their own
/// (SnapKV's window), which keep what they have. `score` and `result` are different memory.
template <class Smooth>
struct pool_body {
  using args = scores_args<typename Smooth::params>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    float const* const score = view.score + w.y * view.stride;
    float* const result = view.result + w.y * view.stride;
    for (index i = b.rank(), t = index{w.x} * segment_scores + i; i < segment_scores && t < view.tokens;
         i += Block::threads, t += Block::threads) {
      result[t] = t < view.scored ? Smooth::pooled(a.params, score, view.scored, static_cast<int>(t)) : score[t];
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
