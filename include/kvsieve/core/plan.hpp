// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A plan: per view and KV head the ascending list of tokens that stay. It lies in the workspace it was made in.
#pragma once
#include <cuda/std/span>

#include <kvsieve/core/math.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/core/status.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// The outcome of plan(). Converts to true when there is one; `state` says why not. Trivially copyable; valid as long
/// as its workspace is neither freed nor used for another plan.
struct token_plan {
  status state{};  ///< ok, or why there is no plan
  status note{};   ///< not ok when a budget was smaller than the forced tokens: which view, budget, forced tokens
  uniformity uniformity_class = uniformity::U1;  ///< how alike the kept lists are
  int views = 0;                                 ///< views of the call
  int heads = 0;                                 ///< KV heads of each view
  int const* logical_tokens = nullptr;  ///< [views]: N of each view, which is also the position of the next token
  index const* offset = nullptr;        ///< [views * heads + 1] into `list`
  int const* list = nullptr;            ///< kept tokens, device memory when the plan was made there
  float const* score = nullptr;         ///< what selection saw; row r of view v starts at score_offset[v] + r * stride
  index const* score_offset = nullptr;  ///< [views]
  /// `offset` in device memory, for kernels; of plans made there in which heads of a view keep different numbers, else
  /// null. From view * heads on it is a table of ragged storage.
  index const* device_offset = nullptr;

  /// True when there is a plan.
  constexpr explicit operator bool() const noexcept { return static_cast<bool>(state); }

  /// N of a view: its logical length, and the position of the token that comes next.
  [[nodiscard]] constexpr int tokens(int view = 0) const { return logical_tokens[view]; }
  /// Tokens kept by a head.
  [[nodiscard]] constexpr int count(int view, int head) const {
    return static_cast<int>(offset[view * heads + head + 1] - offset[view * heads + head]);
  }
  /// Most tokens kept by a head of a view: rows that its compacted view needs.
  [[nodiscard]] constexpr int count(int view = 0) const {
    int most = 0;
    for (int h = 0; h < heads; ++h) most = most < count(view, h) ? count(view, h) : most;
    return most;
  }
  /// Kept token indices of a head, ascending.
  [[nodiscard]] constexpr cs::span<int const> kept(int view, int head) const {
    return {list + offset[view * heads + head], static_cast<cs::size_t>(count(view, head))};
  }
  /// Scores of a head [N]: after aggregation and smoothing. Forced tokens are marked +inf.
  [[nodiscard]] constexpr cs::span<float const> scores(int view, int head) const {
    index const stride = score_stride(logical_tokens[view]);
    return {score + score_offset[view] + head * stride, static_cast<cs::size_t>(logical_tokens[view])};
  }
};
}  // namespace kvsieve::inline v0
