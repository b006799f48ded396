// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The scores of a call by themselves: what score_tokens() gives and choose_tokens() takes.
#pragma once
#include <span>

#include <cuda/std/span>

#include <kvsieve/core/math.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/status.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// Numbers of whole views beside the scores of their tokens, which some budgets read.
struct layer_statistics {
  double const* value = nullptr;  ///< [views, each]
  int each = 0;                   ///< numbers of a view
  /// Number `i` of a view.
  [[nodiscard]] constexpr double of(int view, int i) const { return value[index{view} * each + i]; }
};

/// A part of the observed queries, and what was folded of those before it.
struct query_part {
  std::span<float> state;  ///< score_tokens_state_floats() of them; the caller's memory, untouched between the calls
  int first = 0;           ///< the first query of the call, counted from 0 among the observed ones; 0 begins anew
};

/// A row of scores for every view and KV head, after aggregation and smoothing. Converts to true when there are any;
/// `state` says why not. Trivially copyable; lies in the workspace it was made in.
struct token_scores {
  status state{};                       ///< ok, or why there are no scores
  call_shape shape{0, 0, 0};            ///< of the call
  scored_view const* seen = nullptr;    ///< [views]: tokens, and what the scorer itself keeps
  float* score = nullptr;               ///< row h of view v starts at score_offset[v] + h * stride
  index const* score_offset = nullptr;  ///< [views]
  layer_statistics statistics{};        ///< what the aggregate policy measured beside the scores
  float* weighed = nullptr;             ///< like `score`, with the weight; null: `score` is all there is

  /// True when there are scores.
  constexpr explicit operator bool() const noexcept { return static_cast<bool>(state); }

  /// Tokens of a view.
  [[nodiscard]] constexpr int tokens(int view = 0) const { return seen[view].tokens; }
  /// Scores of a head [N]; what the scorer itself keeps (see `seen`) has none that mean anything.
  [[nodiscard]] constexpr cs::span<float> scores(int view, int head) const {
    index const stride = score_stride(seen[view].tokens);
    return {score + score_offset[view] + head * stride, static_cast<cs::size_t>(seen[view].tokens)};
  }
};
}  // namespace kvsieve::inline v0
