// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What goes on at every token on a CUDA device, behind its attention: states that follow their rows, keys that are
// turned to their slots, and the steps of ZeroMerge and D2O. Calls of the host with device::on{stream} first; tables,
// attention, scores and what states point to are device memory.
#pragma once
#include <kvsieve/device/evict/absorbing.hpp>
#include <kvsieve/device/evict/begin_zero_merge.hpp>
#include <kvsieve/device/evict/rotate_keys.hpp>
#include <kvsieve/device/evict/step_d2o.hpp>
#include <kvsieve/device/on.cuh>

namespace kvsieve::inline v0 {

/// Moves states as apply in place moves the rows of one view, as compact_state on the host says it. A launch for each.
/// @param plan    a token_plan or an open_plan of the device
/// @param states  mdspans of [heads, at least plan.tokens(view)] in device memory, each in memory of its own
template <class Plan, token_state... States>
[[nodiscard]] status compact_state(device::on on, Plan const& plan, int view, States const&... states) noexcept {
  return device::move_states(on, plan, view, states...);
}

/// Turns keys, in place, by differences of positions, as rotate_keys on the host says it.
/// @param keys        for each view [Hkv, N, D], rows of elements
/// @param r           the model's rotation; frequencies are device memory
/// @param difference  difference(view, head, row), which runs in kernels
template <row_view Keys, class Difference>
[[nodiscard]] status rotate_keys(device::on on, cs::span<Keys const> keys, rotation const& r,
                                 Difference const& difference) noexcept {
  return device::rotate(on, keys, r, device::said_difference<Difference>{difference},
                        [](int) { return device::kept_lists{}; });
}
/// Turns keys, in place, after a plan was applied to them, as rotate_to_slots on the host says it.
/// @param plan  a token_plan or an open_plan of the device
template <class Plan, row_view Keys>
[[nodiscard]] status rotate_to_slots(device::on on, Plan const& plan, cs::span<Keys const> keys,
                                     rotation const& r) noexcept {
  return device::rotate_kept(on, plan, keys, r);
}

/// Begins the state of one view behind apply() with evict::zero_merge, as begin_zero_merge on the host says it; sums of
/// scores may differ from its by the order of additions.
/// @param plan  whose counts the host knows
template <kv_layer_view Layer>
[[nodiscard]] status begin_zero_merge(device::on on, token_plan const& plan, int view, Layer const& layer,
                                      cs::span<float const> scores, evict::zero_merge::params const& residual,
                                      evict::zero_merge_step::params const& params, zero_merge_state& state) noexcept {
  return device::begin_slots(on, plan, view, layer, scores, residual, params, state);
}
/// A step of ZeroMerge, as step_zero_merge on the host says it. One launch for all views, and one more where a state
/// has a counter: then steps of full slots may be replayed by a CUDA graph.
/// @param layers     rows of elements
/// @param fresh      for each view the new token's key and value [Hkv, 1, D]
/// @param attention  for each view [Hkv, score_stride(state.used + 1)], device memory
/// @param states     of each view; used and turn are counted on, what they point to is device memory
template <kv_layer_view Layer, kv_layer_view Fresh>
[[nodiscard]] status step_zero_merge(device::on on, cs::span<Layer const> layers, cs::span<Fresh const> fresh,
                                     cs::span<cs::span<float const> const> attention,
                                     evict::zero_merge_step::params const& params,
                                     cs::span<zero_merge_state> states) noexcept {
  return device::zero_merge_steps<device::on, Layer, Fresh>(on, layers, fresh, attention, params, states).run();
}
/// The same for one view.
template <kv_layer_view Layer, kv_layer_view Fresh>
[[nodiscard]] status step_zero_merge(device::on on, Layer const& layer, Fresh const& fresh,
                                     cs::span<float const> attention, evict::zero_merge_step::params const& params,
                                     zero_merge_state& state) noexcept {
  return step_zero_merge(on, cs::span<Layer const>(&layer, 1), cs::span<Fresh const>(&fresh, 1),
                         cs::span<cs::span<float const> const>(&attention, 1), params,
                         cs::span<zero_merge_state>(&state, 1));
}

/// Bytes of device memory that absorb_tokens needs with the same arguments; aligned to 64 bytes. 0 when it would refuse
/// them.
template <kv_layer_view Layer>
[[nodiscard]] std::size_t absorb_tokens_workspace_bytes(device::on on, cs::span<Layer const> layers,
                                                        cs::span<leaving_tokens const> leaving,
                                                        evict::low_rank_state::params const& params) noexcept {
  return device::absorbing<device::on, Layer>(on, layers, leaving, params).bytes();
}
/// Adds tokens that are about to leave the cache to the sums of params.state, as absorb_tokens on the host says it, up
/// to what exponentials are rounded to. Two launches.
/// @param layers     rows of elements
/// @param leaving    for each view, which; lists are device memory, and are believed
/// @param params     tables and sums in device memory; params.layer is read at once
/// @param workspace  device memory, at least absorb_tokens_workspace_bytes(...) bytes, aligned to 64; in use until the
///                   launches have run
template <kv_layer_view Layer>
[[nodiscard]] status absorb_tokens(device::on on, cs::span<Layer const> layers, cs::span<leaving_tokens const> leaving,
                                   evict::low_rank_state::params const& params,
                                   std::span<std::byte> workspace) noexcept {
  return device::absorbing<device::on, Layer>(on, layers, leaving, params).run(workspace);
}

/// Bytes of device memory that step_d2o needs with the same arguments; aligned to 64 bytes. 0 when it would refuse
/// them.
template <kv_layer_view Layer>
[[nodiscard]] std::size_t step_d2o_workspace_bytes(device::on on, cs::span<Layer const> layers,
                                                   cs::span<cs::span<float const> const> attention,
                                                   evict::d2o_step::params const& params,
                                                   cs::span<d2o_state> states) noexcept {
  return device::d2o_steps<device::on, Layer>(on, layers, attention, params, states).bytes();
}
/// A step of D2O, as step_d2o on the host says it, up to what sums are rounded to. Nine launches for up to 32 views,
/// and one more for each view that loses entries; numbers of entries are the host's, so a step of as many entries as
/// the last may be replayed by a CUDA graph.
/// @param layers     rows of elements
/// @param attention  for each view [Hkv, score_stride(N)], device memory
/// @param states     of each view; `stored` of all of them one behind another in device memory, NaN before the first
/// @param workspace  device memory, at least step_d2o_workspace_bytes(...) bytes, aligned to 64; in use until the
///                   launches have run
template <kv_layer_view Layer>
[[nodiscard]] status step_d2o(device::on on, cs::span<Layer const> layers,
                              cs::span<cs::span<float const> const> attention, evict::d2o_step::params const& params,
                              cs::span<d2o_state> states, std::span<std::byte> workspace) noexcept {
  return device::d2o_steps<device::on, Layer>(on, layers, attention, params, states).run(workspace);
}
}  // namespace kvsieve::inline v0
