// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels of what goes on at every token, and the halves of a plan. A register spill fails the build.
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/budget/over_all.hpp>
#include <kvsieve/device/online.cuh>
#include <kvsieve/device/score_tokens.cuh>
#include <kvsieve/device/steps.cuh>
#include <kvsieve/presets/rows.hpp>

namespace kvs = kvsieve;
using kvs::bf16;

namespace {
template <class T>
kvs::cs::span<T const> one(T const& x) {
  return {&x, 1};
}
struct by_row {
  [[nodiscard]] KVSIEVE_HD kvs::index operator()(int, int, int row) const { return -row; }
};

template <class T, int D, class Plan>
kvs::status step(kvs::device::on on, Plan const& plan, std::span<std::byte> w) {
  auto const rows = kvs::make_rows<D>(static_cast<T*>(nullptr), 1, 1);
  kvs::kv_layer const layer{rows, rows};
  kvs::cs::span<float const> const seen{};
  kvs::d2o_state entries;
  kvs::zero_merge_state slots;
  kvs::cs::span<kvs::d2o_state> const states(&entries, 1);
  kvs::status s;
  if (kvs::step_d2o_workspace_bytes(on, one(layer), one(seen), {}, states) <= w.size())
    s = kvs::step_d2o(on, one(layer), one(seen), {}, states, w);
  if (s) s = kvs::step_zero_merge(on, layer, layer, seen, {}, slots);
  if constexpr (std::is_same_v<Plan, kvs::token_plan>)
    if (s) s = kvs::begin_zero_merge(on, plan, 0, layer, seen, {}, {}, slots);
  if (s) s = kvs::rotate_keys(on, one(rows), {}, by_row{});
  if (s) s = kvs::rotate_to_slots(on, plan, one(rows), {});
  kvs::cs::mdspan<float, kvs::cs::dextents<kvs::index, 2>> const sums(nullptr, 1, 1);
  return s ? kvs::compact_state(on, plan, 0, sums) : s;
}
/// Eviction while generating, of a policy that folds and joins as another does not.
template <class C>
kvs::status evict(kvs::device::on on, kvs::device::workspace const& w) {
  using A = typename C::aggregate_policy;
  auto const rows = kvs::make_rows<128>(static_cast<bf16*>(nullptr), 1, 1);
  auto const out = kvs::make_rows<128>(static_cast<float*>(nullptr), 1, 1);
  kvs::kv_layer const layer{rows, rows};
  kvs::observed_state<A> state{nullptr, 16, 1, 0};
  int const entries = 1;
  if (kvs::attend_observed_workspace_bytes<A>(on, one(rows), one(layer)) > w.device.size() ||
      kvs::plan_observed_workspace_bytes<C>(on, one(state), one(entries), 1, {}).device > w.device.size())
    return {};
  kvs::status s = kvs::attend_observed<A>(on, one(rows), one(layer), one(out),
                                          kvs::cs::span<kvs::observed_state<A>>(&state, 1), {}, w.device);
  if (!s) return s;
  kvs::token_plan const plan = kvs::plan_observed<C>(on, one(state), one(entries), 1, {}, w);
  return plan ? kvs::apply_observed<kvs::kv_layer<kvs::rows<bf16, 128>>, A>(on, plan, one(layer), one(state), {})
              : plan.state;
}
/// What is left of tokens in sums.
kvs::status absorb(kvs::device::on on, kvs::device::open_plan const& plan, std::span<std::byte> w) {
  using strategy = kvs::key_norm<kvs::budget::over_all, kvs::store::ragged, kvs::evict::low_rank_state>;
  auto const rows = kvs::make_rows<128>(static_cast<bf16*>(nullptr), 1, 1);
  kvs::kv_layer const layer{rows, rows};
  kvs::leaving_tokens const leaving;
  typename strategy::params const p{};
  if (kvs::absorb_tokens_workspace_bytes(on, one(layer), one(leaving), p.evict) > w.size() ||
      kvs::apply_workspace_bytes<strategy>(on, plan, layer, p) > w.size())
    return {};
  kvs::status const s = kvs::absorb_tokens(on, one(layer), one(leaving), p.evict, w);
  return s ? kvs::apply<strategy>(on, plan, layer, layer, p, w) : s;
}
/// Layers that arrive one by one.
kvs::status arrive(kvs::device::on on, kvs::token_scores const& scores, kvs::device::workspace const& w) {
  kvs::device::cascade<kvs::budget::entropy_variance> c({.layers = 2}, {}, 1, 16, w);
  auto const plan = c.add(on, scores, w);
  return plan ? c.settle(on, plan.with({})) : plan.state;
}
/// Pages of a table for each head as targets.
kvs::status into_pages(kvs::device::on on, kvs::device::open_plan const& plan) {
  using strategy = kvs::key_norm<kvs::budget::over_all, kvs::store::ragged>;
  auto const rows = kvs::make_rows<128>(static_cast<bf16 const*>(nullptr), 1, 1);
  auto const pages =
      kvs::make_ragged_paged<16, 128>(static_cast<bf16*>(nullptr), 1, {}, {nullptr, nullptr, nullptr, 1});
  kvs::status const s = kvs::apply<strategy>(on, plan, kvs::kv_layer{rows, rows}, kvs::kv_layer{pages, pages});
  return s ? kvs::copy_counts(on, plan, {}) : s;
}
}  // namespace

kvs::status compile_step_kernels(kvs::device::on on, kvs::token_plan const& counted, kvs::device::open_plan const& open,
                                 kvs::device::workspace const& w) {
  kvs::status s = step<bf16, 128>(on, counted, w.device);
  if (s) s = step<float, 64>(on, open, w.device);
  if (s) s = evict<kvs::online::tova<>>(on, w);
  if (s) s = evict<kvs::online::roco<>>(on, w);
  if (s) s = into_pages(on, open);
  if (s) s = absorb(on, open, w.device);
  using strategy = kvs::key_norm<kvs::budget::over_all, kvs::store::ragged>;
  auto const rows = kvs::make_rows<128>(static_cast<bf16 const*>(nullptr), 1, 1);
  kvs::kv_layer const layer{rows, rows};
  if (!s || kvs::score_tokens_workspace_bytes<strategy>(on, one(layer), {}).device > w.device.size()) return s;
  kvs::token_scores const scores = kvs::score_tokens<strategy>(on, one(layer), {}, w);
  if (!scores) return scores.state;
  if (s = arrive(on, scores, w); !s) return s;
  using select = kvs::select::top_k;
  using budget = kvs::budget::over_all;
  if (kvs::choose_tokens_workspace_bytes<budget, select>(on, scores, {}, {}).device > w.device.size()) return s;
  return kvs::choose_tokens<budget, select>(on, scores, {}, {}, w).state;
}
