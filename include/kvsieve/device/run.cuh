// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// plan, apply, attend and workspace_bytes on a CUDA device: the calls of the host with device::on{stream} first. Views
// then hold device pointers, and so does params.select.white_list. A plan's lists and scores are device memory. The
// counts and offsets of a token_plan are host memory and may be read at once; those of an open_plan, which budgets that
// read scores give, are device memory too.
#pragma once
#include <kvsieve/device/attend/attend.hpp>
#include <kvsieve/device/attend/refit_values.hpp>
#include <kvsieve/device/call/copy_counts.hpp>
#include <kvsieve/device/call/count_absent_pages.hpp>
#include <kvsieve/device/evict/absorbing.hpp>
#include <kvsieve/device/evict/compactor.hpp>
#include <kvsieve/device/evict/merger.hpp>
#include <kvsieve/device/on.cuh>
#include <kvsieve/device/plan/observed.hpp>
#include <kvsieve/device/plan/planner.hpp>

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
/// What carries a plan out that merges, or adds to sums.
template <strategy C, class Plan, class From>
using merging = cs::conditional_t<cs::is_same_v<typename C::evict_policy, evict::low_rank_state>,
                                  sum_call<on, Plan, From>, merge_call<C, on, Plan, From>>;
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

/// Writes how many tokens each head keeps, [views * heads], to device memory: lengths of heads in pages of their own
/// (make_ragged_paged) that a plan was applied to. One launch.
template <class Plan>
[[nodiscard]] status copy_counts(device::on on, Plan const& plan, cs::span<int> counts) noexcept {
  return device::write_counts(on, plan, counts);
}

/// A plan of the device.
template <class P>
concept device_plan = cs::is_same_v<P, token_plan> || cs::is_same_v<P, device::open_plan>;

/// Copies the kept rows of every view into other memory: row i of `to` is row kept[i] of `from`, encoded where `to`
/// says so, with the bytes of the host. Formats that hold several tokens together take whole tiles of them. Where heads
/// keep different numbers of tokens, `to` may be packed rows with the plan's own table, make_ragged<D>(data, heads,
/// offsets in device memory, most rows of a head): token_plan::device_offset + view * heads, or
/// open_plan::offsets(view). Or pages: of one table for all heads, or of one for each, whose
/// lengths are not looked at and not changed (copy_counts makes them). A head that has more tokens than pages loses the
/// last ones; of one pool, no two views may name a page, which is not checked, as tables are device memory.
template <strategy C, device_layer From, device_layer To, device_plan Plan>
[[nodiscard]] status apply(device::on on, Plan const& plan, kv_group<From> from, kv_group<To> to) noexcept {
  return device::copy_kept<C>(on, plan, from, to);
}
/// The same for one view.
template <strategy C, device_layer From, device_layer To, device_plan Plan>
[[nodiscard]] status apply(device::on on, Plan const& plan, From const& from, To const& to) noexcept {
  return device::copy_kept<C>(on, plan, kv_group<From>(&from, 1), kv_group<To>(&to, 1));
}
/// Moves the kept rows of every head to its front; rows behind them keep what they hold. Heads may have numbers of
/// tokens of their own, packed or with a table of pages each, like those of `from` above: rows that a list names and a
/// head does not have read as zeros, and lengths are not changed.
template <strategy C, device_layer Layer, device_plan Plan>
[[nodiscard]] status apply(device::on on, Plan const& plan, kv_group<Layer> layers) noexcept {
  return device::move_kept<C>(on, plan, layers);
}
/// The same for one view.
template <strategy C, device_layer Layer, device_plan Plan>
[[nodiscard]] status apply(device::on on, Plan const& plan, Layer const& layer) noexcept {
  return device::move_kept<C>(on, plan, kv_group<Layer>(&layer, 1));
}

/// Bytes of device memory that apply needs where the strategy merges; aligned to 64 bytes. 0 when apply would refuse
/// the plan, the cache or the numbers.
template <strategy C, device_layer From, device_plan Plan>
[[nodiscard]] std::size_t apply_workspace_bytes(device::on on, Plan const& plan, kv_group<From> from,
                                                typename C::params const& params) noexcept {
  return device::merging<C, Plan, From>(on, plan, from, params.evict).bytes();
}
/// The same for one view.
template <strategy C, device_layer From, device_plan Plan>
[[nodiscard]] std::size_t apply_workspace_bytes(device::on on, Plan const& plan, From const& from,
                                                typename C::params const& params) noexcept {
  return apply_workspace_bytes<C>(on, plan, kv_group<From>(&from, 1), params);
}
/// Applies a plan and merges what it does not keep, as apply on the host says it and with its results, up to what
/// exponentials and logarithms are rounded to. Results of evict::merge may be encoded, others are rows of elements;
/// tables and the span `before` of params are device memory, as are biases.
/// @param on         where to run
/// @param plan       of the same views
/// @param from       the views that the plan was made for; not changed
/// @param to         views with as many rows as merged_rows gives, in other memory, of the same element types; by an
///                   open_plan its most rows and the slots of a strategy that has some
/// @param params     the strategy's numbers
/// @param workspace  device memory, at least apply_workspace_bytes<C>(...) bytes, aligned to 64, which must not hold
///                   the plan; in use until the launches have run
/// @param bias       for each view the attention bias of every row of the result; empty: not asked for
template <strategy C, device_layer From, device_layer To, device_plan Plan>
[[nodiscard]] status apply(device::on on, Plan const& plan, kv_group<From> from, kv_group<To> to,
                           typename C::params const& params, std::span<std::byte> workspace,
                           cs::span<entry_bias_target const> bias = {}) noexcept {
  return device::merging<C, Plan, From>(on, plan, from, params.evict).run(to, workspace, bias);
}
/// The same for one view.
template <strategy C, device_layer From, device_layer To, device_plan Plan>
[[nodiscard]] status apply(device::on on, Plan const& plan, From const& from, To const& to,
                           typename C::params const& params, std::span<std::byte> workspace,
                           entry_bias_target const& bias = {}) noexcept {
  return apply<C>(on, plan, kv_group<From>(&from, 1), kv_group<To>(&to, 1), params, workspace,
                  cs::span<entry_bias_target const>(&bias, bias ? 1 : 0));
}

/// Holds the tables of pages of all views against their pools, where they are: in device memory. Kernels never follow
/// an entry out of the pool (attend and apply take such rows as absent, plan reads page 0); this tells that there are
/// some. One launch.
/// @param on      where to run
/// @param layers  views in pages, of one table or of one for each head
/// @param absent  device memory [1]; goes up by the entries that name pages which the pool does not have, and by the
///                heads that say to have more tokens than their table or the view
template <device_layer Layer>
[[nodiscard]] status count_absent_pages(device::on on, kv_group<Layer> layers, unsigned* absent) noexcept {
  return device::count_absent(on, layers, absent);
}
/// The same for one view.
template <device_layer Layer>
[[nodiscard]] status count_absent_pages(device::on on, Layer const& layer, unsigned* absent) noexcept {
  return count_absent_pages(on, kv_group<Layer>(&layer, 1), absent);
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

/// Bytes of device memory that attend_observed needs with the same arguments; aligned to 64 bytes.
template <accumulator A, row_view Queries, stored_layer Layer>
[[nodiscard]] std::size_t attend_observed_workspace_bytes(device::on on, cs::span<Queries const> query,
                                                          cs::span<Layer const> layers) noexcept {
  return device::attention<device::on, Queries, Layer, A>(on, query, layers).bytes();
}
/// Decode attention as attend, updating what an online policy remembers of every entry, as attend_observed on the host
/// says it: logits are written beside the partial results, and one launch more folds them.
/// @param on         where to run
/// @param query      as for attend
/// @param layers     as for attend
/// @param out        as for attend
/// @param states     for each view the state, which lies in device memory, with room for all its entries; counts the
///                   new queries, on the device too where it has a counter: what a CUDA graph replays needs one where
///                   the accumulator or its result looks at the number of a query
/// @param params     the accumulator's numbers
/// @param workspace  device memory, at least attend_observed_workspace_bytes<A>(...) bytes, aligned to 64; in use until
///                   the launches have run
/// @param options    as for attend
template <accumulator A, row_view Queries, stored_layer Layer, row_view Out>
[[nodiscard]] status attend_observed(device::on on, cs::span<Queries const> query, cs::span<Layer const> layers,
                                     cs::span<Out const> out, cs::span<observed_state<A>> states,
                                     typename A::params const& params, std::span<std::byte> workspace,
                                     attend_options const& options = {}) noexcept {
  return device::attention<device::on, Queries, Layer, A>(on, query, layers)
      .run_observed(out, options, states, params, workspace);
}
/// Makes entries [first, last) of all heads of a state in device memory such as no query has seen: all of a new one,
/// observed_state<A>{data, capacity, heads}, and those that begin anew.
template <accumulator A>
[[nodiscard]] status begin_observed(device::on on, observed_state<A> const& state, typename A::params const& params,
                                    index first, index last) noexcept {
  return device::begin_entries(on, state, params, first, last);
}
/// Scores of the entries of each KV head from what was remembered, as observed_scores on the host says it; `score`
/// [heads, score_stride(entries)] is device memory.
template <class Group, accumulator A>
[[nodiscard]] status observed_scores(device::on on, observed_state<A> const& state, typename A::params const& params,
                                     typename Group::params const& grouping, int heads, int entries,
                                     cs::span<float> score) noexcept {
  return device::score_entries<Group>(on, state, params, grouping, heads, entries, score);
}

/// Bytes of device memory that refit_values needs with the same arguments; aligned to 64 bytes. 0 where it would refuse
/// them.
template <row_view Queries, stored_layer Full, stored_layer Kept>
[[nodiscard]] std::size_t refit_values_workspace_bytes(device::on on, cs::span<Queries const> queries,
                                                       cs::span<Full const> layers, token_plan const& plan,
                                                       cs::span<Kept const> kept,
                                                       evict::refit_values::params const& params) noexcept {
  return device::value_refit<device::on, Queries, Full, Kept>(on, queries, layers, plan, kept, params).bytes();
}
/// Fits the kept values to what observed queries read from the whole cache, as refit_values on the host says it, up to
/// rounding. Seven launches for every 32 rows of the largest matrix that is factored, and six more.
/// @param on         where to run
/// @param queries    for each view [Hq, W, D], the queries that are fitted
/// @param layers     the views that the plan was made for; not changed
/// @param plan       whose counts the host knows; of an open_plan, what copy_offsets made of it
/// @param kept       keys of any format; values that are not rotated
/// @param out        for each view the fitted values [Hkv, n, D]; may be the kept values
/// @param params     the ridge and which queries
/// @param workspace  device memory, at least refit_values_workspace_bytes(...) bytes, aligned to 64; in use until the
///                   launches have run
template <row_view Queries, stored_layer Full, stored_layer Kept, row_view Out>
[[nodiscard]] status refit_values(device::on on, cs::span<Queries const> queries, cs::span<Full const> layers,
                                  token_plan const& plan, cs::span<Kept const> kept, cs::span<Out const> out,
                                  evict::refit_values::params const& params, std::span<std::byte> workspace) noexcept {
  return device::value_refit<device::on, Queries, Full, Kept>(on, queries, layers, plan, kept, params)
      .run(out, workspace);
}
}  // namespace kvsieve::inline v0
