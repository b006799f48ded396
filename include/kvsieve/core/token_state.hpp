// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What is kept of each entry beside its rows: positions, sums of scores, codes of biases.
#pragma once
#include <kvsieve/core/status.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// A number, or any plain struct, for each token of each head: an mdspan of [heads, tokens].
template <class S>
concept token_state = requires {
  typename S::mapping_type;
  requires S::rank() == 2;
  requires cs::is_trivially_copyable_v<typename S::element_type>;
  requires !cs::is_const_v<typename S::element_type>;
};

namespace check {
/// A view of a plan against the states that belong to it.
template <class Plan, token_state... States>
[[nodiscard]] status states(Plan const& plan, int view, States const&... given) {
  auto const at = [](auto x) { return static_cast<double>(x); };
  if (!plan) return plan.state;
  if (view < 0 || view >= plan.views)
    return fail(errc::bad_params, "view", view, "must be at least 0 and less than the views of the plan,", plan.views);
  [[maybe_unused]] auto const one = [&]<class S>(S const& state) -> status {
    if (static_cast<index>(state.extent(0)) != plan.heads)
      return fail(errc::bad_shape, "state.heads", at(state.extent(0)), "must equal the heads of the plan,", plan.heads,
                  view);
    if (static_cast<index>(state.extent(1)) < plan.tokens(view))
      return fail(errc::bad_shape, "state.tokens", at(state.extent(1)), "must be at least the tokens of the plan,",
                  plan.tokens(view), view);
    if constexpr (cs::is_pointer_v<typename S::data_handle_type>)
      if (state.data_handle() == nullptr) return fail(errc::bad_pointer, "state", 0, "must not be null;", 0, view);
    return {};
  };
  status s;
  ((s = s ? one(given) : s), ...);
  return s;
}
}  // namespace check
}  // namespace kvsieve::inline v0
