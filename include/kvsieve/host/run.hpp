// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The calls of the host: plan, apply, attend, and how much workspace they need. None of them allocates, prints, throws
// or spawns a thread; a status says what was refused, and then nothing was written.
#pragma once
#include <cstddef>
#include <span>

#include <kvsieve/compressor.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/host/attend/attend.hpp>
#include <kvsieve/host/evict/compactor.hpp>
#include <kvsieve/host/evict/merge_tokens.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/plan/planner.hpp>

namespace kvsieve::inline v0 {

namespace detail {
template <strategy C>
constexpr void needs_queries() {
  static_assert(!reads(C::reads, needs::queries),
                "kvsieve::plan: this strategy observes queries: pass them after the cache, as rows [Hq, W, D] of the "
                "last W positions");
}
template <strategy C>
constexpr void needs_no_queries() {
  static_assert(reads(C::reads, needs::queries), "kvsieve::plan: this strategy reads no queries: leave them out");
}
template <strategy C>
constexpr void needs_no_merge() {
  static_assert(!merges<typename C::evict_policy>,
                "kvsieve::apply: this strategy merges what it does not keep: pass a result of its own memory, its "
                "params and a workspace of apply_workspace_bytes");
}
template <strategy C>
constexpr void needs_merge() {
  static_assert(merges<typename C::evict_policy>,
                "kvsieve::apply: this strategy drops what it does not keep: leave params and workspace out");
}
}  // namespace detail

/// Bytes of workspace that plan<C> needs with the same arguments; aligned to 64 bytes. 0 when plan<C> would refuse the
/// arguments, whatever the workspace: it says why.
template <strategy C, host::executor Exec, kv_layer_view Layer, row_view Queries>
[[nodiscard]] std::size_t workspace_bytes(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
                                          typename C::params const& params) noexcept {
  detail::needs_no_queries<C>();
  return host::planner<C, Exec, Layer, Queries>(on, layers, queries, params).bytes();
}
/// The same for a strategy that observes no queries.
template <strategy C, host::executor Exec, kv_layer_view Layer>
[[nodiscard]] std::size_t workspace_bytes(Exec const& on, cs::span<Layer const> layers,
                                          typename C::params const& params) noexcept {
  detail::needs_queries<C>();
  return host::planner<C, Exec, Layer, host::no_queries>(on, layers, {}, params).bytes();
}
/// The same for one view.
template <strategy C, host::executor Exec, kv_layer_view Layer, row_view Queries>
[[nodiscard]] std::size_t workspace_bytes(Exec const& on, Layer const& layer, Queries const& queries,
                                          typename C::params const& params) noexcept {
  return workspace_bytes<C>(on, cs::span<Layer const>(&layer, 1), cs::span<Queries const>(&queries, 1), params);
}
/// The same for one view and a strategy that observes no queries.
template <strategy C, host::executor Exec, kv_layer_view Layer>
[[nodiscard]] std::size_t workspace_bytes(Exec const& on, Layer const& layer,
                                          typename C::params const& params) noexcept {
  return workspace_bytes<C>(on, cs::span<Layer const>(&layer, 1), params);
}

/// Decides which tokens stay.
/// @param on         where to run: host::on{team}, host::on{workers, parallel_for} or host::on{}
/// @param layers     views with the same number of KV heads, each with its own number of tokens; not changed
/// @param queries    for each view [Hq, W, D], the queries of its last W positions after RoPE, at least as many as the
///                   strategy observes; only for strategies that observe queries
/// @param params     the strategy's numbers
/// @param workspace  at least workspace_bytes<C>(...) bytes, aligned to 64; holds the plan afterwards
/// @returns the plan, or one whose `state` says what was wrong
template <strategy C, host::executor Exec, kv_layer_view Layer, row_view Queries>
[[nodiscard]] token_plan plan(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
                              typename C::params const& params, std::span<std::byte> workspace) noexcept {
  detail::needs_no_queries<C>();
  return host::planner<C, Exec, Layer, Queries>(on, layers, queries, params).run(workspace);
}
/// The same for a strategy that observes no queries.
template <strategy C, host::executor Exec, kv_layer_view Layer>
[[nodiscard]] token_plan plan(Exec const& on, cs::span<Layer const> layers, typename C::params const& params,
                              std::span<std::byte> workspace) noexcept {
  detail::needs_queries<C>();
  return host::planner<C, Exec, Layer, host::no_queries>(on, layers, {}, params).run(workspace);
}
/// The same for one view.
template <strategy C, host::executor Exec, kv_layer_view Layer, row_view Queries>
[[nodiscard]] token_plan plan(Exec const& on, Layer const& layer, Queries const& queries,
                              typename C::params const& params, std::span<std::byte> workspace) noexcept {
  return plan<C>(on, cs::span<Layer const>(&layer, 1), cs::span<Queries const>(&queries, 1), params, workspace);
}
/// The same for one view and a strategy that observes no queries.
template <strategy C, host::executor Exec, kv_layer_view Layer>
[[nodiscard]] token_plan plan(Exec const& on, Layer const& layer, typename C::params const& params,
                              std::span<std::byte> workspace) noexcept {
  return plan<C>(on, cs::span<Layer const>(&layer, 1), params, workspace);
}

/// Applies a plan out of place: row i of a head of `to` becomes row kept[i] of the cache.
/// @param on    where to run
/// @param plan  of the same views
/// @param from  the views that the plan was made for; not changed
/// @param to    views with at least plan.count(view) tokens, in other memory, of the same element types
/// @returns ok, or what was refused, and then nothing was written
template <strategy C, host::executor Exec, kv_layer_view Layer, kv_layer_view Target>
[[nodiscard]] status apply(Exec const& on, token_plan const& plan, cs::span<Layer const> from,
                           cs::span<Target const> to) noexcept {
  detail::needs_no_merge<C>();
  return host::compact(on, plan, from, to);
}
/// The same for one view.
template <strategy C, host::executor Exec, kv_layer_view Layer, kv_layer_view Target>
[[nodiscard]] status apply(Exec const& on, token_plan const& plan, Layer const& from, Target const& to) noexcept {
  detail::needs_no_merge<C>();
  return host::compact(on, plan, cs::span<Layer const>(&from, 1), cs::span<Target const>(&to, 1));
}
/// Applies a plan in place: kept rows move to the front of each head, what lies behind them is of no more use.
template <strategy C, host::executor Exec, kv_layer_view Layer>
[[nodiscard]] status apply(Exec const& on, token_plan const& plan, cs::span<Layer const> layers) noexcept {
  detail::needs_no_merge<C>();
  return host::compact(on, plan, layers);
}
/// The same for one view.
template <strategy C, host::executor Exec, kv_layer_view Layer>
[[nodiscard]] status apply(Exec const& on, token_plan const& plan, Layer const& layer) noexcept {
  detail::needs_no_merge<C>();
  return host::compact(on, plan, cs::span<Layer const>(&layer, 1));
}

/// Bytes of workspace that apply needs where the strategy merges; aligned to 64 bytes. 0 when apply would refuse the
/// plan, the cache or the numbers.
template <strategy C, host::executor Exec, kv_layer_view Layer>
[[nodiscard]] std::size_t apply_workspace_bytes(Exec const& on, token_plan const& plan, cs::span<Layer const> from,
                                                typename C::params const& params) noexcept {
  detail::needs_merge<C>();
  return host::merge_call<typename C::evict_policy, Layer>::bytes(on, plan, from, params.evict);
}
/// The same for one view.
template <strategy C, host::executor Exec, kv_layer_view Layer>
[[nodiscard]] std::size_t apply_workspace_bytes(Exec const& on, token_plan const& plan, Layer const& from,
                                                typename C::params const& params) noexcept {
  return apply_workspace_bytes<C>(on, plan, cs::span<Layer const>(&from, 1), params);
}
/// Rows of a head's result: those kept, and the slots that a strategy merges into.
template <strategy C>
[[nodiscard]] int merged_rows(token_plan const& plan, typename C::params const& params, int view, int head) noexcept {
  int const kept = plan.count(view, head);
  return kept + slots_of<typename C::evict_policy>(params.evict, plan.tokens(view) - kept);
}

/// Applies a plan and merges what it does not keep. Never in place: the cache is read until the end.
/// @param on         where to run
/// @param plan       of the same views
/// @param from       the views that the plan was made for; not changed
/// @param to         views with at least merged_rows<C>(plan, params, view, head) tokens, in other memory, of the same
///                   element types
/// @param params     the strategy's numbers
/// @param workspace  at least apply_workspace_bytes<C>(...) bytes, aligned to 64; it must not hold the plan
/// @param bias       for each view the attention bias of every row of the result; empty: not asked for
/// @returns ok, or what was refused, and then nothing was written
template <strategy C, host::executor Exec, kv_layer_view Layer, kv_layer_view Target>
[[nodiscard]] status apply(Exec const& on, token_plan const& plan, cs::span<Layer const> from,
                           cs::span<Target const> to, typename C::params const& params, std::span<std::byte> workspace,
                           cs::span<entry_bias_target const> bias = {}) noexcept {
  detail::needs_merge<C>();
  return host::merge_call<typename C::evict_policy, Layer>::run(on, plan, from, to, params.evict, workspace, bias);
}
/// The same for one view.
template <strategy C, host::executor Exec, kv_layer_view Layer, kv_layer_view Target>
[[nodiscard]] status apply(Exec const& on, token_plan const& plan, Layer const& from, Target const& to,
                           typename C::params const& params, std::span<std::byte> workspace,
                           entry_bias_target const& bias = {}) noexcept {
  return apply<C>(on, plan, cs::span<Layer const>(&from, 1), cs::span<Target const>(&to, 1), params, workspace,
                  cs::span<entry_bias_target const>(&bias, bias ? 1 : 0));
}

/// Bytes of workspace that attend needs with the same arguments; aligned to 64 bytes.
template <host::executor Exec, row_view Queries, stored_layer Layer>
[[nodiscard]] std::size_t attend_workspace_bytes(Exec const& on, cs::span<Queries const> query,
                                                 cs::span<Layer const> layers) noexcept {
  return host::attention<Exec, Queries, Layer>(on, query, layers).bytes();
}
/// The same for one view.
template <host::executor Exec, row_view Queries, stored_layer Layer>
[[nodiscard]] std::size_t attend_workspace_bytes(Exec const& on, Queries const& query, Layer const& layer) noexcept {
  return attend_workspace_bytes(on, cs::span<Queries const>(&query, 1), cs::span<Layer const>(&layer, 1));
}

/// Decode attention: out[h, i] = softmax(q_hi K^T / sqrt(D) + bias) V over the entries of the view, query head h
/// reading KV head h / (Hq / Hkv). Exact (online softmax), in float; keys and values that are not finite give what the
/// formula gives. A head without entries gives 0.
/// @param on         where to run
/// @param query      for each view [Hq, T, D]: the queries of the T new tokens after RoPE, 1 to 8. With several, the
///                   last T rows of each head (of the last part) are their own, and a query does not see those after
///                   it
/// @param layers     views of any layout and format, ragged or not, or kv_parts of several
/// @param out        for each view [Hq, T, D]
/// @param workspace  at least attend_workspace_bytes(...) bytes, aligned to 64
/// @param options    what else is wanted
/// @returns ok, or what was refused, and then nothing was written
template <host::executor Exec, row_view Queries, stored_layer Layer, row_view Out>
[[nodiscard]] status attend(Exec const& on, cs::span<Queries const> query, cs::span<Layer const> layers,
                            cs::span<Out const> out, std::span<std::byte> workspace,
                            attend_options const& options = {}) noexcept {
  return host::attention<Exec, Queries, Layer>(on, query, layers).run(out, options, workspace);
}
/// The same for one view.
template <host::executor Exec, row_view Queries, stored_layer Layer, row_view Out>
[[nodiscard]] status attend(Exec const& on, Queries const& query, Layer const& layer, Out const& out,
                            std::span<std::byte> workspace, attend_options const& options = {}) noexcept {
  return attend(on, cs::span<Queries const>(&query, 1), cs::span<Layer const>(&layer, 1), cs::span<Out const>(&out, 1),
                workspace, options);
}

/// Bytes of workspace that attend_observed needs with the same arguments; aligned to 64 bytes.
template <accumulator A, host::executor Exec, row_view Queries, stored_layer Layer>
[[nodiscard]] std::size_t attend_observed_workspace_bytes(Exec const& on, cs::span<Queries const> query,
                                                          cs::span<Layer const> layers) noexcept {
  return host::attention<Exec, Queries, Layer, A>(on, query, layers).bytes();
}
/// Decode attention as attend, in the same pass updating what an online policy remembers of every entry: the
/// accumulator A folds the probabilities of the new queries, one after another.
/// @param on         where to run
/// @param query      as for attend
/// @param layers     as for attend
/// @param out        as for attend
/// @param options    what else is wanted
/// @param states     for each view the state, with room for all its entries; counts the new queries
/// @param params     the accumulator's numbers
/// @param workspace  at least attend_observed_workspace_bytes<A>(...) bytes, aligned to 64
/// @returns ok, or what was refused, and then nothing was written
template <accumulator A, host::executor Exec, row_view Queries, stored_layer Layer, row_view Out>
[[nodiscard]] status attend_observed(Exec const& on, cs::span<Queries const> query, cs::span<Layer const> layers,
                                     cs::span<Out const> out, cs::span<observed_state<A>> states,
                                     typename A::params const& params, std::span<std::byte> workspace,
                                     attend_options const& options = {}) noexcept {
  return host::attention<Exec, Queries, Layer, A>(on, query, layers)
      .run_observed(out, options, states, params, workspace);
}
/// Scores of the entries of each KV head from what was remembered, as selection takes them: the accumulator's result,
/// the query heads of a group joined.
/// @param state     what was remembered
/// @param params    the accumulator's numbers
/// @param grouping  the group policy's numbers
/// @param heads    KV heads; they divide the query heads of the state
/// @param entries  of each head, at most the capacity
/// @param score    [heads, score_stride(entries)]
template <class Group, accumulator A>
[[nodiscard]] status observed_scores(observed_state<A> const& state, typename A::params const& params,
                                     typename Group::params const& grouping, int heads, index entries,
                                     cs::span<float> score) noexcept {
  return host::observed_results<Group>(state, params, grouping, heads, entries, score);
}
}  // namespace kvsieve::inline v0
