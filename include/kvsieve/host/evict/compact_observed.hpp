// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The entries that stay and what an online policy remembers of them move together.
#pragma once
#include <kvsieve/core/parts.hpp>
#include <kvsieve/host/evict/compactor.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/online/checks.hpp>

namespace kvsieve::inline v0 {

namespace detail {
/// States against the views of the plan that they belong to.
template <accumulator A>
[[nodiscard]] status check_observed(token_plan const& plan, cs::span<observed_state<A> const> states) {
  if (status const s = check::observed_of_plan(plan, states); !s) return s;
  for (int v = 0; v < plan.views; ++v)
    if (status const s = check::no_counter(states[static_cast<std::size_t>(v)], v); !s) return s;
  return {};
}
}  // namespace detail

/// Moves the states of all views as apply in place moves their rows: entry i of a head becomes entry kept[i], and what
/// lies behind the kept ones is such as no query has seen. All states are checked before the first is written.
/// @param on      where to run
/// @param plan    a plan in host memory, of the entries that the states have
/// @param states  for each view
/// @param params  the accumulator's numbers
template <host::executor Exec, accumulator A>
[[nodiscard]] status compact_observed(Exec const& on, token_plan const& plan, cs::span<observed_state<A> const> states,
                                      typename A::params const& params) noexcept {
  if (status const s = detail::check_observed(plan, states); !s) return s;
  float fresh[A::states + 1] = {};
  if constexpr (!A::linear) {
    float part[A::states];
    A::init(params, part);
    for (int k = 0; k < A::states; ++k) fresh[k] = part[k];
  }
  on.for_each(index{plan.views} * plan.heads, [&](index i, int) {
    int const v = static_cast<int>(i / plan.heads), h = static_cast<int>(i % plan.heads);
    observed_state<A> const& s = states[static_cast<std::size_t>(v)];
    auto const kept = plan.kept(v, h);
    int const of_head = s.heads / plan.heads;
    for (int q = h * of_head; q < (h + 1) * of_head; ++q)
      for (int k = 0; k <= A::states; ++k) {
        float* const row = s.row(q, k);
        for (std::size_t e = 0; e < kept.size(); ++e) row[e] = row[kept[e]];
        for (index e = static_cast<index>(kept.size()); e < plan.tokens(v); ++e) row[e] = fresh[k];
      }
  });
  return {};
}

/// Applies a plan in place to the rows of all views and to their states. All of it is checked before anything is
/// written.
/// @param on      where to run
/// @param plan    of these states, by plan_observed
/// @param layers  for each view, with as many tokens as it has entries
/// @param states  for each view
/// @param params  the accumulator's numbers
template <host::executor Exec, kv_layer_view Layer, accumulator A>
[[nodiscard]] status apply_observed(Exec const& on, token_plan const& plan, cs::span<Layer const> layers,
                                    cs::span<observed_state<A> const> states,
                                    typename A::params const& params) noexcept {
  if (status const s = detail::check_observed(plan, states); !s) return s;
  if (status const s = host::compact(on, plan, layers); !s) return s;
  return compact_observed(on, plan, states, params);
}
}  // namespace kvsieve::inline v0
