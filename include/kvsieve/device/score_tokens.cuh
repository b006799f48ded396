// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The two halves of plan() on a CUDA device as calls of their own: score_tokens(), and choose_tokens() with any budget
// and selection over any scores that lie in device memory, those of observed_scores() among them. Layers that arrive
// one by one: device::cascade.
#pragma once
#include <kvsieve/device/plan/cascade.hpp>
#include <kvsieve/device/plan/scoring.hpp>
#include <kvsieve/device/run.cuh>

namespace kvsieve::inline v0 {

/// Bytes of both parts of the workspace that score_tokens<C> needs with the same arguments; 0 where it would refuse the
/// numbers.
template <strategy C, device_layer Layer, row_view Queries>
[[nodiscard]] device::workspace_size score_tokens_workspace_bytes(device::on on, kv_group<Layer> layers,
                                                                  cs::span<Queries const> queries,
                                                                  typename C::params const& params) noexcept {
  device::require_queries<C>();
  return device::scoring<C, device::on, Layer, Queries>(on, layers, queries, params).bytes();
}
/// The same for a strategy that observes no queries.
template <strategy C, device_layer Layer>
[[nodiscard]] device::workspace_size score_tokens_workspace_bytes(device::on on, kv_group<Layer> layers,
                                                                  typename C::params const& params) noexcept {
  device::require_no_queries<C>();
  return device::scoring<C, device::on, Layer, device::no_queries>(on, layers, {}, params).bytes();
}
/// The first half of plan<C>: scores every token, as score_tokens on the host says it.
/// @returns the scores, which are device memory like their statistics; where they lie is host memory. Or none and a
/// `state` that says what was wrong
template <strategy C, device_layer Layer, row_view Queries>
[[nodiscard]] token_scores score_tokens(device::on on, kv_group<Layer> layers, cs::span<Queries const> queries,
                                        typename C::params const& params, device::workspace const& workspace) noexcept {
  device::require_queries<C>();
  return device::scoring<C, device::on, Layer, Queries>(on, layers, queries, params).run(workspace);
}
/// The same for a strategy that observes no queries.
template <strategy C, device_layer Layer>
[[nodiscard]] token_scores score_tokens(device::on on, kv_group<Layer> layers, typename C::params const& params,
                                        device::workspace const& workspace) noexcept {
  device::require_no_queries<C>();
  return device::scoring<C, device::on, Layer, device::no_queries>(on, layers, {}, params).run(workspace);
}

/// Floats of device memory that score_tokens<C> folds into when the queries come in parts, as on the host; 0 for
/// arguments that it would refuse.
template <strategy C, device_layer Layer, row_view Queries>
  requires(C::folds_queries)
[[nodiscard]] std::size_t score_tokens_state_floats(device::on on, kv_group<Layer> layers,
                                                    cs::span<Queries const> queries,
                                                    typename C::params const& params) noexcept {
  return device::scoring<C, device::on, Layer, Queries>(on, layers, queries, params).state_floats();
}
/// Bytes of both parts of the workspace that score_tokens<C> needs for a part of the queries: those for all of them.
template <strategy C, device_layer Layer, row_view Queries>
  requires(C::folds_queries)
[[nodiscard]] device::workspace_size score_tokens_part_workspace_bytes(device::on on, kv_group<Layer> layers,
                                                                       cs::span<Queries const> queries,
                                                                       typename C::params const& params) noexcept {
  return device::scoring<C, device::on, Layer, Queries>(on, layers, queries, params).bytes();
}
/// score_tokens<C> with a part of the observed queries, as on the host: folded call after call into part.state, which
/// is device memory; the call that brings the last ones returns the scores. Parts of multiples of 4 queries give the
/// bits of a single call where the order of queries counts, or none of them is added; others differ by rounding.
template <strategy C, device_layer Layer, row_view Queries>
  requires(C::folds_queries)
[[nodiscard]] token_scores score_tokens(device::on on, kv_group<Layer> layers, cs::span<Queries const> queries,
                                        typename C::params const& params, query_part const& part,
                                        device::workspace const& workspace) noexcept {
  return device::scoring<C, device::on, Layer, Queries>(on, layers, queries, params).run_part(part, workspace);
}

/// Bytes of both parts of the workspace that choose_tokens needs with the same arguments; 0 where it would refuse them.
template <policy_of<stages::budget> Budget, policy_of<stages::select> Select>
[[nodiscard]] device::workspace_size choose_tokens_workspace_bytes(device::on on, token_scores const& scores,
                                                                   typename Budget::params const& budget,
                                                                   typename Select::params const& select) noexcept {
  return device::choosing<Budget, Select, device::on>(on, scores, budget, select).bytes();
}
/// The second half of plan: spends a budget on given scores, which are not changed. Budgets and selections are those
/// that plan() takes on the device, by one row of scores.
/// @param on         where to run
/// @param scores     shape, views and offsets in host memory, read at once; scores and statistics in device memory
/// @param budget     the budget's numbers
/// @param select     the selection's numbers; its white list is device memory
/// @param workspace  at least choose_tokens_workspace_bytes(...) bytes; holds the plan afterwards
/// @returns a token_plan, or by a budget that reads scores an open_plan, or one whose `state` says what was wrong
template <policy_of<stages::budget> Budget, policy_of<stages::select> Select>
[[nodiscard]] auto choose_tokens(device::on on, token_scores const& scores, typename Budget::params const& budget,
                                 typename Select::params const& select, device::workspace const& workspace) noexcept {
  return device::choosing<Budget, Select, device::on>(on, scores, budget, select).run(workspace);
}
}  // namespace kvsieve::inline v0
