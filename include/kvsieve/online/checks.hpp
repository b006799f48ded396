// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What eviction while generating refuses on every backend, before it touches anything.
#pragma once
#include <kvsieve/aggregate/observed_state.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/online/policy.hpp>

namespace kvsieve::inline v0 {
namespace check {

/// A state of the host counts its queries itself.
template <accumulator A>
[[nodiscard]] status no_counter(observed_state<A> const& s, int view) {
  if (s.counter == nullptr) return {};
  return fail(errc::bad_pointer, "state.counter", 1, "is for the device; here it must be null,", 0, view);
}
/// A state of so many KV heads.
template <accumulator A>
[[nodiscard]] status state_of_heads(observed_state<A> const& s, int heads, char const* equal, char const* multiple,
                                    int view) {
  if (s.data == nullptr) return fail(errc::bad_pointer, "state", 0, "must not be null;", 0, view);
  if (folds_groups<A> ? s.heads != heads : s.heads < heads || s.heads % heads != 0)
    return fail(errc::bad_shape, "state.heads", s.heads, folds_groups<A> ? equal : multiple, heads, view);
  return {};
}

/// The arguments of plan_observed, but for what a selection refuses of a view.
template <online_strategy C>
[[nodiscard]] status observed(cs::span<observed_state<typename C::aggregate_policy> const> states,
                              cs::span<int const> entries, int heads, typename C::params const& params) {
  using A = typename C::aggregate_policy;
  if (states.empty()) return fail(errc::bad_shape, "states", 0, "must be at least", 1);
  if (status const s = check::one_each("entries", entries.size(), states.size()); !s) return s;
  if (heads < 1) return fail(errc::bad_shape, "heads", heads, "must be at least", 1);
  if (status const s = check::params(params, call_shape{static_cast<int>(states.size()), heads, 0}); !s) return s;
  for (std::size_t i = 0; i < states.size(); ++i) {
    int const n = entries[i], v = static_cast<int>(i);
    if (n < 1) return fail(errc::bad_shape, "entries", n, "must be at least", 1, v);
    if (status const s =
            state_of_heads(states[i], heads, "must equal the KV heads,", "must be a multiple of the KV heads,", v);
        !s)
      return s;
    if (n > states[i].capacity)
      return fail(errc::bad_shape, "entries", n, "must be at most the capacity of the state,",
                  static_cast<double>(states[i].capacity), v);
    if (states[i].counter == nullptr && states[i].queries < least_queries<A>)
      return fail(errc::bad_shape, "state.queries", states[i].queries, "must be at least", least_queries<A>, v);
  }
  return {};
}

/// States against the views of the plan that they belong to.
template <accumulator A>
[[nodiscard]] status observed_of_plan(token_plan const& plan, cs::span<observed_state<A> const> states) {
  if (!plan) return plan.state;
  if (status const s = check::one_each("states", states.size(), static_cast<std::size_t>(plan.views)); !s) return s;
  for (int v = 0; v < plan.views; ++v) {
    observed_state<A> const& s = states[static_cast<std::size_t>(v)];
    if (status const t = state_of_heads(s, plan.heads, "must equal the heads of the plan,",
                                        "must be a multiple of the heads of the plan,", v);
        !t)
      return t;
    if (s.capacity < plan.tokens(v))
      return fail(errc::bad_shape, "state.capacity", static_cast<double>(s.capacity),
                  "must be at least the tokens of the plan,", plan.tokens(v), v);
  }
  return {};
}
}  // namespace check
}  // namespace kvsieve::inline v0
