// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// plan, apply, attend and workspace_bytes on a CUDA device: the calls of the host with device::on{stream} first. Views
// then hold device pointers, and so does params.select.white_list. A plan's lists and scores are device memory. The
// counts and offsets of a token_plan are host memory and may be read at once; those of an open_plan, which budgets that
// read scores give, are device memory too.
#pragma once
#include <kvsieve/device/attend.hpp>
#include <kvsieve/device/compactor.hpp>
#include <kvsieve/device/on.cuh>
#include <kvsieve/device/planner.hpp>

namespace kvsieve::inline v0 {

/// Keys and values of one layer, as kv_layer holds them.
template <class L>
concept device_layer = requires {
  requires row_view<typename L::keys_type>;
  requires row_view<typename L::values_type>;
  { L::head_dim } -> cs::convertible_to<int>;
};

namespace device {
/// Does not compile where a strategy observes queries.
template <strategy C>
constexpr void require_no_queries() {
  static_assert(C::observes_queries == false,
                "kvsieve::plan: this strategy observes queries: pass them, [Hq, W, D], behind the layers");
}
/// Does not compile where a strategy observes none.
template <strategy C>
constexpr void require_queries() {
  static_assert(C::observes_queries, "kvsieve::plan: this strategy reads no queries: leave them out");
}
}  // namespace device

/// Bytes of both parts of the workspace that plan() needs for these views; 0 where it would refuse the numbers.
template <strategy C, device_layer Layer>
[[nodiscard]] device::workspace_size workspace_bytes(device::on on, kv_group<Layer> layers,
                                                     typename C::params const& params) noexcept {
  device::require_no_queries<C>();
  return device::planner<C, device::on, Layer, device::no_queries>(on, layers, {}, params).bytes();
}
/// The same for one view.
template <strategy C, device_layer Layer>
[[nodiscard]] device::workspace_size workspace_bytes(device::on on, Layer const& layer,
                                                     typename C::params const& params) noexcept {
  return workspace_bytes<C>(on, kv_group<Layer>(&layer, 1), params);
}
/// The same with queries: [views] of [Hq, at least the observed, D], of which the last ones are observed.
template <strategy C, device_layer Layer, row_view Queries>
[[nodiscard]] device::workspace_size workspace_bytes(device::on on, kv_group<Layer> layers,
                                                     cs::span<Queries const> queries,
                                                     typename C::params const& params) noexcept {
  device::require_queries<C>();
  return device::planner<C, device::on, Layer, Queries>(on, layers, queries, params).bytes();
}
/// The same for one view and its queries.
template <strategy C, device_layer Layer, row_view Queries>
[[nodiscard]] device::workspace_size workspace_bytes(device::on on, Layer const& layer, Queries const& queries,
                                                     typename C::params const& params) noexcept {
  return workspace_bytes<C>(on, kv_group<Layer>(&layer, 1), cs::span<Queries const>(&queries, 1), params);
}

/// Chooses what stays, for all views in one go. Nothing is launched when an argument is at fault. A white list is read
/// by kernels alone, so plan.note speaks of sinks and recent tokens only.
/// @returns the plan, a token_plan or, by a budget that reads scores, an open_plan; valid on the stream from here on,
/// and on the host the counts and offsets of a token_plan at once.
template <strategy C, device_layer Layer>
[[nodiscard]] device::plan_of<C> plan(device::on on, kv_group<Layer> layers, typename C::params const& params,
                                      device::workspace const& workspace) noexcept {
  device::require_no_queries<C>();
  return device::planner<C, device::on, Layer, device::no_queries>(on, layers, {}, params).run(workspace);
}
/// The same for one view.
template <strategy C, device_layer Layer>
[[nodiscard]] device::plan_of<C> plan(device::on on, Layer const& layer, typename C::params const& params,
                                      device::workspace const& workspace) noexcept {
  return plan<C>(on, kv_group<Layer>(&layer, 1), params, workspace);
}
/// The same with queries: [views] of [Hq, at least the observed, D], of which the last ones are observed.
template <strategy C, device_layer Layer, row_view Queries>
[[nodiscard]] device::plan_of<C> plan(device::on on, kv_group<Layer> layers, cs::span<Queries const> queries,
                                      typename C::params const& params, device::workspace const& workspace) noexcept {
  device::require_queries<C>();
  return device::planner<C, device::on, Layer, Queries>(on, layers, queries, params).run(workspace);
}
/// The same for one view and its queries.
template <strategy C, device_layer Layer, row_view Queries>
[[nodiscard]] device::plan_of<C> plan(device::on on, Layer const& layer, Queries const& queries,
                                      typename C::params const& params, device::workspace const& workspace) noexcept {
  return plan<C>(on, kv_group<Layer>(&layer, 1), cs::span<Queries const>(&queries, 1), params, workspace);
}

/// Copies where the lists of a plan lie to the host, on the stream: `offset` has [views * heads + 1] entries, in memory
/// that is page-locked, or the runtime waits for the stream. No other call of a plan needs it.
/// @returns the plan as one that knows its counts, once the stream has got there; or what is wrong.
[[nodiscard]] inline token_plan copy_offsets(device::on on, device::open_plan const& plan,
                                             cs::span<index> offset) noexcept {
  token_plan counted = plan.with(offset);
  if (!counted) return counted;
  cudaError_t const error =
      cudaMemcpyAsync(offset.data(), plan.offset, offset.size_bytes(), cudaMemcpyDeviceToHost, on.stream());
  if (error == cudaSuccess) return counted;
  counted.state.code = errc::cuda;
  counted.state.native = static_cast<int>(error);
  counted.state.argument = "copy";
  return counted;
}

/// A plan of the device.
template <class P>
concept device_plan = cs::is_same_v<P, token_plan> || cs::is_same_v<P, device::open_plan>;

/// Copies the kept rows of every view into other memory: row i of `to` is row kept[i] of `from`. Where heads keep
/// different numbers of tokens, `to` may be packed rows with the plan's own table, make_ragged<D>(data, heads, offsets
/// in device memory, most rows of a head): token_plan::device_offset + view * heads, or open_plan::offsets(view).
template <strategy C, device_layer From, device_layer To, device_plan Plan>
[[nodiscard]] status apply(device::on on, Plan const& plan, kv_group<From> from, kv_group<To> to) noexcept {
  return device::copy_kept<C>(on, plan, from, to);
}
/// The same for one view.
template <strategy C, device_layer From, device_layer To, device_plan Plan>
[[nodiscard]] status apply(device::on on, Plan const& plan, From const& from, To const& to) noexcept {
  return device::copy_kept<C>(on, plan, kv_group<From>(&from, 1), kv_group<To>(&to, 1));
}
/// Moves the kept rows of every head to its front; rows behind them keep what they hold.
template <strategy C, device_layer Layer, device_plan Plan>
[[nodiscard]] status apply(device::on on, Plan const& plan, kv_group<Layer> layers) noexcept {
  return device::move_kept<C>(on, plan, layers);
}
/// The same for one view.
template <strategy C, device_layer Layer, device_plan Plan>
[[nodiscard]] status apply(device::on on, Plan const& plan, Layer const& layer) noexcept {
  return device::move_kept<C>(on, plan, kv_group<Layer>(&layer, 1));
}

/// Bytes of device memory that attend needs with the same arguments; aligned to 64 bytes.
template <row_view Queries, stored_layer Layer>
[[nodiscard]] std::size_t attend_workspace_bytes(device::on on, cs::span<Queries const> query,
                                                 cs::span<Layer const> layers) noexcept {
  return device::attention<device::on, Queries, Layer>(on, query, layers).bytes();
}
/// The same for one view.
template <row_view Queries, stored_layer Layer>
[[nodiscard]] std::size_t attend_workspace_bytes(device::on on, Queries const& query, Layer const& layer) noexcept {
  return attend_workspace_bytes(on, cs::span<Queries const>(&query, 1), cs::span<Layer const>(&layer, 1));
}

/// Decode attention, as attend on the host says it: out[h, i] = softmax(q_hi K^T / sqrt(D) + bias) V over the entries
/// of the view. One launch for each part of a layer and one that joins segments, whatever the number of views. Rows are
/// contiguous ones at multiples of 16 bytes, encoded ones at even addresses, or any that can be read an element at a
/// time. Tables of pages and offsets are device memory that is never read here: kernels cut what they say to the tokens
/// of the view, and a page that the pool does not have counts as absent.
/// @param on         where to run
/// @param query      for each view [Hq, T, D], 1 to 8 queries
/// @param layers     views of any layout and format, or kv_parts of several; what tells the bias runs in kernels
/// @param out        for each view [Hq, T, D]
/// @param workspace  device memory, at least attend_workspace_bytes(...) bytes, aligned to 64; in use until the
///                   launches have run
/// @param options    what else is wanted; the list of log_sum_exp is read at once, what it points to is device memory
/// @returns ok, or what was refused, and then nothing was launched
template <row_view Queries, stored_layer Layer, row_view Out>
[[nodiscard]] status attend(device::on on, cs::span<Queries const> query, cs::span<Layer const> layers,
                            cs::span<Out const> out, std::span<std::byte> workspace,
                            attend_options const& options = {}) noexcept {
  return device::attention<device::on, Queries, Layer>(on, query, layers).run(out, options, workspace);
}
/// The same for one view.
template <row_view Queries, stored_layer Layer, row_view Out>
[[nodiscard]] status attend(device::on on, Queries const& query, Layer const& layer, Out const& out,
                            std::span<std::byte> workspace, attend_options const& options = {}) noexcept {
  return attend(on, cs::span<Queries const>(&query, 1), cs::span<Layer const>(&layer, 1), cs::span<Out const>(&out, 1),
                workspace, options);
}
}  // namespace kvsieve::inline v0
