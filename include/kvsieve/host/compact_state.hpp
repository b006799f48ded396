// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What is kept of each entry beside its rows follows them: positions, sums of scores, codes of biases.
#pragma once
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/host/on.hpp>

namespace kvsieve::inline v0 {

/// A number, or any plain struct, for each token of each head: an mdspan of [heads, tokens].
template <class S>
concept token_state = requires {
  typename S::mapping_type;
  requires S::rank() == 2;
  requires cs::is_trivially_copyable_v<typename S::element_type>;
  requires !cs::is_const_v<typename S::element_type>;
};

namespace detail {
/// A state against the view of the plan that it belongs to.
template <token_state S>
[[nodiscard]] status check_state(token_plan const& plan, int view, S const& state) {
  auto const at = [](auto x) { return static_cast<double>(x); };
  if (static_cast<index>(state.extent(0)) != plan.heads)
    return fail(errc::bad_shape, "state.heads", at(state.extent(0)), "must equal the heads of the plan,", plan.heads,
                view);
  if (static_cast<index>(state.extent(1)) < plan.tokens(view))
    return fail(errc::bad_shape, "state.tokens", at(state.extent(1)), "must be at least the tokens of the plan,",
                plan.tokens(view), view);
  if constexpr (cs::is_pointer_v<typename S::data_handle_type>)
    if (state.data_handle() == nullptr) return fail(errc::bad_pointer, "state", 0, "must not be null;", 0, view);
  return {};
}
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
  if (!plan) return plan.state;
  if (view < 0 || view >= plan.views)
    return fail(errc::bad_params, "view", view, "must be at least 0 and less than the views of the plan,", plan.views);
  status s;
  ((s = s ? detail::check_state(plan, view, states) : s), ...);
  if (!s) return s;
  on.for_each(index{plan.heads},
              [&](index h, int) { (detail::move_state(plan, view, static_cast<int>(h), states), ...); });
  return {};
}
}  // namespace kvsieve::inline v0
