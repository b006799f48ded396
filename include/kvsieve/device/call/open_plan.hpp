// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A plan of which only the device knows how many tokens each head keeps, and how kernels see the lists of any plan.
#pragma once
#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/range.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The outcome of plan() on the device by a budget that reads scores. Counts follow from scores, so they are device
/// memory like the lists: kernels that are launched behind the plan read them, and nobody waits. What the host knows
/// are bounds. Converts to true when there is a plan; trivially copyable; valid as long as its workspace is neither
/// freed nor used for another plan.
struct open_plan {
  status state{};  ///< ok, or why there is no plan
  status note{};  ///< not ok when a budget was smaller than the forced tokens, as far as shapes tell and the white list
                  ///< left out of them
  uniformity uniformity_class = uniformity::U3;  ///< how alike the kept lists are
  int views = 0;                                 ///< views of the call
  int heads = 0;                                 ///< KV heads of each view
  int const* logical_tokens = nullptr;           ///< host [views]: N of each view, the position of the next token
  int const* longest = nullptr;                  ///< host [views]: no head of the view keeps more
  index rows = 0;                       ///< all heads of all views together keep no more: what `list` has room for
  index const* offset = nullptr;        ///< device [views * heads + 1] into `list`
  int const* list = nullptr;            ///< device: kept tokens
  float const* score = nullptr;         ///< device: as in token_plan
  index const* score_offset = nullptr;  ///< host [views]
  int multiple = 1;                     ///< what every head keeps is a multiple of it

  /// True when there is a plan.
  constexpr explicit operator bool() const noexcept { return static_cast<bool>(state); }

  /// N of a view: its logical length, and the position of the token that comes next.
  [[nodiscard]] constexpr int tokens(int view = 0) const { return logical_tokens[view]; }
  /// Tokens that a head of a view keeps at most: rows that its compacted view needs.
  [[nodiscard]] constexpr int most(int view = 0) const { return longest[view]; }
  /// Where the lists of a view's heads begin, and where the last one ends: device memory, [heads + 1], the table of
  /// ragged storage with `rows` rows for all views (make_ragged).
  [[nodiscard]] constexpr index const* offsets(int view = 0) const { return offset + index{view} * heads; }
  /// Entries of `offset`.
  [[nodiscard]] constexpr index entries() const { return index{views} * heads + 1; }
  /// The plan with its offsets on the host, [entries()], which copy_offsets() brings there; a plan that says what is
  /// wrong where there is none, or where the memory has another size.
  [[nodiscard]] constexpr token_plan with(cs::span<index const> host_offset) const {
    token_plan counted{state, note,  uniformity_class, views, heads, logical_tokens, host_offset.data(),
                       list,  score, score_offset,     offset};
    if (state)
      counted.state = range::entries("offset", static_cast<double>(host_offset.size()), static_cast<double>(entries()));
    return counted;
  }
};

/// The lists of a view's heads, as kernels read them: `stride` apart and of the same length, or as offsets say.
struct kept_lists {
  int const* list = nullptr;      ///< the first one, or what offsets count from
  index stride = 0;               ///< from a head's list to the next
  index const* offset = nullptr;  ///< device [heads + 1], or null
  int most = 0;                   ///< length of the longest, or a bound of it

  /// Kept tokens of a head, ascending.
  [[nodiscard]] KVSIEVE_HD int const* of(int head) const {
    return list + (offset != nullptr ? offset[head] : head * stride);
  }
  /// How many they are.
  [[nodiscard]] KVSIEVE_HD int count(int head) const {
    return offset != nullptr ? static_cast<int>(offset[head + 1] - offset[head]) : most;
  }
};
/// Those of a view of a plan.
[[nodiscard]] inline kept_lists lists_of(token_plan const& plan, int view) {
  index const first = index{view} * plan.heads;
  if (plan.device_offset != nullptr) return {plan.list, 0, plan.device_offset + first, plan.count(view)};
  return {plan.list + plan.offset[first], plan.count(view, 0), nullptr, plan.count(view, 0)};
}
/// Those of a view of a plan.
[[nodiscard]] inline kept_lists lists_of(open_plan const& plan, int view) {
  return {plan.list, 0, plan.offsets(view), plan.most(view)};
}
/// Rows of ragged storage for all views of a plan.
[[nodiscard]] inline index rows_of(token_plan const& plan) { return plan.offset[index{plan.views} * plan.heads]; }
/// Rows of ragged storage for all views of a plan.
[[nodiscard]] inline index rows_of(open_plan const& plan) { return plan.rows; }
}  // namespace device
}  // namespace kvsieve::inline v0
