// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies between scoring and selection: lift, pooling along the tokens, scale, joining the heads of a layer.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/call/scores_part.hpp>

namespace kvsieve::inline v0 {
namespace device {

struct copy_params {};

/// Block (segment, head, view): the scores in other memory.
struct copy_scores_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, scores_args<copy_params> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    float const* const score = view.score + w.y * view.stride;
    float* const result = view.result + w.y * view.stride;
    each_score(b, w.x, view.tokens, [&](int t) { result[t] = score[t]; });
  }
};

/// Block (segment, head, view): result[t], the first score of token t, joined with the second, score[t].
template <class Score>
struct join_scores_body {
  using args = scores_args<typename Score::params>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    float const* const second = view.score + w.y * view.stride;
    float* const first = view.result + w.y * view.stride;
    each_score(b, w.x, view.tokens, [&](int t) { first[t] = Score::joined(a.params, first[t], second[t]); });
  }
};

struct join_heads_params {};

/// Block (segment, 0, view): the heads' scores of a token joined, added in ascending order. In place.
template <class Heads>
struct join_heads_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, scores_args<join_heads_params> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    each_score(b, w.x, view.tokens, [&](int t) {
      float sum = 0;
      for (int h = 0; h < view.heads; ++h) sum += view.score[h * view.stride + t];
      for (int h = 0; h < view.heads; ++h)
        view.result[h * view.stride + t] = Heads::joined(view.score[h * view.stride + t], sum, view.heads);
    });
  }
};

struct level_params {};

/// Block (0, head, view): the scored tokens of a head lifted to their mean. In place.
template <class Lift>
struct lift_body {
  using args = scores_args<level_params>;

  template <block Block>
  struct shared {
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float* const row = view.score + w.y * view.stride;
    float sum = 0, count = 0;
    for (int t = view.first + b.rank(); t < view.scored; t += Block::threads) {
      if (!finite(row[t])) continue;
      sum += row[t];
      count += 1;
    }
    sum = b.all_sum(sum, s.reduce);
    count = b.all_sum(count, s.reduce);
    float const mean = count > 0 ? sum / count : 0.0f;
    for (int t = view.first + b.rank(); t < view.scored; t += Block::threads) row[t] = Lift::lifted(row[t], mean);
  }
};

/// Block (0, 0, view): the scored tokens of all heads of a layer in standard deviations from their mean. In place.
template <class Scale>
struct scale_body {
  using args = scores_args<level_params>;

  template <block Block>
  struct shared {
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float const sum = total(b, view, s, [](float x) { return x; });
    float const count = total(b, view, s, [](float) { return 1.0f; });
    float const mean = count > 0 ? sum / count : 0.0f;
    float const squares = total(b, view, s, [mean](float x) { return (x - mean) * (x - mean); });
    float const deviation = count > 1 ? sqrt(squares / (count - 1)) : 0.0f;
    for (int h = 0; h < view.heads; ++h) {
      float* const row = view.score + h * view.stride;
      for (int t = view.first + b.rank(); t < view.scored; t += Block::threads)
        row[t] = Scale::scaled(row[t], mean, deviation);
    }
  }

 private:
  /// Sum of f over the finite scores of all heads.
  template <block Block, class F>
  KVSIEVE_HD static float total(Block& b, scores_part const& view, shared<Block>& s, F const& f) {
    float sum = 0;
    for (int h = 0; h < view.heads; ++h) {
      float const* const row = view.score + h * view.stride;
      float part = 0;  // a head at a time, so that long sums lose less
      for (int t = view.first + b.rank(); t < view.scored; t += Block::threads)
        part += finite(row[t]) ? f(row[t]) : 0.0f;
      sum += part;
    }
    return b.all_sum(sum, s.reduce);
  }
};

/// Block (segment, head, view): the pooled scores. A pool ends where the tokens begin that have no scores of their own
/// (sinks, SnapKV's window), which keep what they have. `score` and `result` are different memory.
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
    each_score(b, w.x, view.tokens, [&](int t) {
      result[t] = t < view.first || t >= view.scored
                      ? score[t]
                      : Smooth::pooled(a.params, score + view.first, view.scored - view.first, t - view.first);
    });
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
