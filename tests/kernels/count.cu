// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels of plans whose heads keep different numbers of tokens: rankings, measures of heads and layers,
// tables, the selections that read their counts, selections that make them, and compaction by them into dense and
// packed rows. A register spill fails the build.
#include <kvsieve/aggregate/mean_variance_entropy.hpp>
#include <kvsieve/budget/bytes.hpp>
#include <kvsieve/budget/composite.hpp>
#include <kvsieve/budget/entropy_variance.hpp>
#include <kvsieve/budget/head_shares.hpp>
#include <kvsieve/budget/layer_scores.hpp>
#include <kvsieve/budget/layer_variance.hpp>
#include <kvsieve/budget/lazy_layers.hpp>
#include <kvsieve/budget/over_heads_mixed.hpp>
#include <kvsieve/budget/uncertainty.hpp>
#include <kvsieve/kvsieve.cuh>

#include "combinations.hpp"

namespace kvs = kvsieve;
namespace budget = kvs::budget;

namespace {
template <class Budget, class... Override>
using keyed = kvs::key_norm<Budget, kvs::store::ragged, Override...>;

template <class C, class T, int D>
kvs::status apply_all(kvs::device::on on, kvs::device::workspace const& w) {
  auto const rows = kvs::make_rows<D>(static_cast<T*>(nullptr), 1, 0);
  auto const const_rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0);
  kvs::kv_layer const layer{rows, rows};
  kvs::kv_layer const read_only{const_rows, const_rows};
  typename C::params const p{};
  auto const plan = kvs::plan<C>(on, read_only, p, w);
  if (!plan) return plan.state;
  kvs::index const* table = nullptr;
  int most = 0;
  if constexpr (requires { plan.offsets(0); }) {
    table = plan.offsets(0);
    most = plan.most(0);
    kvs::index offset[2];
    if (auto const counted = kvs::copy_offsets(on, plan, offset); !counted) return counted.state;
  } else {
    table = plan.device_offset;
    most = plan.count(0);
  }
  auto const packed = kvs::make_ragged<D>(static_cast<T*>(nullptr), 1, table, most);
  if (kvs::status const s = kvs::apply<C>(on, plan, read_only, layer); !s) return s;
  if (kvs::status const s = kvs::apply<C>(on, plan, read_only, kvs::kv_layer{packed, packed}); !s) return s;
  return kvs::apply<C>(on, plan, layer);
}
/// A plan by observed queries.
template <class C, class T, int D>
kvs::status observe(kvs::device::on on, kvs::device::workspace const& w) {
  auto const rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0);
  return kvs::plan<C>(on, kvs::kv_layer{rows, rows}, rows, typename C::params{}, w).state;
}
template <class T, int D>
kvs::status all_budgets(kvs::device::on on, kvs::device::workspace const& w) {
  kvs::status s = apply_all<keyed<budget::over_heads>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::over_heads_mixed, kvs::select::heavy_hitters>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::over_all>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::layer_scores>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::bytes>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::head_shares>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::head_shares, kvs::select::heavy_hitters>, T, D>(on, w);
  if (s) s = apply_all<kvs::dms<kvs::score::key_norm>, T, D>(on, w);
  if (s) s = apply_all<kvs::key_norm<kvs::select::runs, kvs::store::ragged>, T, D>(on, w);
  return s;
}
/// Budgets that measure heads or layers, and selections in rounds: their kernels read scores alone.
template <class T, int D>
kvs::status all_measures(kvs::device::on on, kvs::device::workspace const& w) {
  kvs::status s = apply_all<keyed<budget::uncertainty>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::layer_variance>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::lazy_layers>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::composite>, T, D>(on, w);
  if (s) s = observe<kvs::snap_kv<kvs::aggregate::mean_variance_entropy, budget::entropy_variance>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::over_heads, kvs::select::gumbel>, T, D>(on, w);
  if (s) s = apply_all<keyed<budget::head_shares, kvs::weigh::value_norm, kvs::select::two_stage>, T, D>(on, w);
  return s;
}
}  // namespace

kvs::status compile_count_kernels(kvs::device::on on, kvs::device::workspace const& w) {
  kvs::status s = all_budgets<kvs::bf16, 128>(on, w);
  if (s) s = all_measures<kvs::bf16, 128>(on, w);
  // Of the budgets' kernels these alone read rows.
  if (s) s = apply_all<kvs::key_norm<kvs::select::runs, kvs::store::ragged>, float, 64>(on, w);
  if (s) s = apply_all<keyed<budget::over_heads>, kvs::f16, 80>(on, w);
  if constexpr (support::all_combinations) {
    if (s) s = all_budgets<float, 64>(on, w);
    if (s) s = all_budgets<kvs::f16, 80>(on, w);
  }
  return s;
}
