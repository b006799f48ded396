// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What is kept of each entry beside its rows follows them: positions, sums of scores, codes of biases.
#pragma once
#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/token_state.hpp>
#include <kvsieve/host/on.hpp>

namespace kvsieve::inline v0 {

namespace detail {
template <token_state S>
void move_state(token_plan const& plan, int view, int head, S const& state) {
  using at = typename S::index_type;
  auto const kept = plan.kept(view, head);
  for (cs::size_t i = 0; i < kept.size(); ++i)
    state(static_cast<at>(head), static_cast<at>(i)) = state(static_cast<at>(head), static_cast<at>(kept[i]));
}
}  // namespace detail

/// Moves states as apply in place moves the rows of one view: entry i of a head becomes entry kept[i]. All of them are
/// checked before the first is written.
/// @param on      where to run
/// @param plan    a plan in host memory
/// @param view    of the plan
/// @param states  in memory of their own, [heads, at least plan.tokens(view)] each
template <host::executor Exec, token_state... States>
[[nodiscard]] status compact_state(Exec const& on, token_plan const& plan, int view, States const&... states) noexcept {
  if (status const s = check::states(plan, view, states...); !s) return s;
  on.for_each(index{plan.heads},
              [&](index h, int) { (detail::move_state(plan, view, static_cast<int>(h), states), ...); });
  return {};
}
}  // namespace kvsieve::inline v0
