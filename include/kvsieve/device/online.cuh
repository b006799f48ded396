// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Eviction while a model generates, on a CUDA device: attend_observed remembers, plan_observed decides, apply_observed
// moves; calls of the host with device::on{stream} first, on states of device memory. How many entries there are and
// stay are the host's numbers, so a period of a schedule may be captured into a CUDA graph.
#pragma once
#include <kvsieve/device/plan/online.hpp>
#include <kvsieve/device/run.cuh>
#include <kvsieve/presets/online.hpp>

namespace kvsieve::inline v0 {

/// Bytes of both parts of the workspace that plan_observed needs with the same arguments; 0 where it would refuse them.
template <online_strategy C>
[[nodiscard]] device::workspace_size plan_observed_workspace_bytes(
    device::on on, cs::span<observed_state<typename C::aggregate_policy> const> states, cs::span<int const> entries,
    int heads, typename C::params const& params) noexcept {
  return device::observed_planning<C, device::on>(on, states, entries, heads, params).bytes();
}
/// Decides which entries of a cache stay, as plan_observed on the host says it.
/// @param on         where to run
/// @param states     for each view, of device memory; not changed
/// @param entries    for each view, of a head; read at once
/// @param heads      KV heads of every view
/// @param params     the policy's numbers; a white list is device memory
/// @param workspace  at least plan_observed_workspace_bytes<C>(...) bytes; holds the plan afterwards
/// @returns the plan, or one whose `state` says what was wrong
template <online_strategy C>
[[nodiscard]] token_plan plan_observed(device::on on,
                                       cs::span<observed_state<typename C::aggregate_policy> const> states,
                                       cs::span<int const> entries, int heads, typename C::params const& params,
                                       device::workspace const& workspace) noexcept {
  return device::observed_planning<C, device::on>(on, states, entries, heads, params).run(workspace);
}
/// Moves the states of all views as apply in place moves their rows, as compact_observed on the host says it. One
/// launch.
template <accumulator A>
[[nodiscard]] status compact_observed(device::on on, token_plan const& plan, cs::span<observed_state<A> const> states,
                                      typename A::params const& params) noexcept {
  return device::move_observed(on, plan, states, params);
}
/// Applies a plan in place to the rows of all views and to their states, as apply_observed on the host says it. Two
/// launches.
template <device_layer Layer, accumulator A>
[[nodiscard]] status apply_observed(device::on on, token_plan const& plan, kv_group<Layer> layers,
                                    cs::span<observed_state<A> const> states,
                                    typename A::params const& params) noexcept {
  return device::move_kept_and_observed(on, plan, layers, states, params);
}
}  // namespace kvsieve::inline v0
