// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels of the per-row and by-position scorers, selection and compaction, for every element type and
// small and large head dimensions; with all combinations, those of common models. A register spill fails the build.
#include <kvsieve/core/paged.hpp>
#include <kvsieve/kvsieve.cuh>
#include <kvsieve/lift/mean.hpp>
#include <kvsieve/scale/z_score.hpp>
#include <kvsieve/score/value_norm.hpp>
#include <kvsieve/weigh/value_norm.hpp>

#include "combinations.hpp"

namespace kvs = kvsieve;

namespace {
template <class C, class T, int D>
kvs::status chosen(kvs::device::on on, kvs::device::workspace const& w) {
  auto const rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0);
  return kvs::plan<C>(on, kvs::kv_layer{rows, rows}, typename C::params{}, w).state;
}
/// Chosen and compacted, whose kernels do not depend on what chose.
template <class C, class T, int D>
kvs::status both(kvs::device::on on, kvs::device::workspace const& w) {
  auto const rows = kvs::make_rows<D>(static_cast<T*>(nullptr), 1, 0);
  auto const const_rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0);
  kvs::kv_layer const layer{rows, rows};
  kvs::kv_layer const read_only{const_rows, const_rows};
  typename C::params const p{};
  kvs::token_plan const plan = kvs::plan<C>(on, read_only, p, w);
  if (!plan) return plan.state;
  if (kvs::status const s = kvs::apply<C>(on, plan, read_only, layer); !s) return s;
  return kvs::apply<C>(on, plan, layer);
}
template <class T, int D>
kvs::status selections(kvs::device::on on, kvs::device::workspace const& w) {
  namespace sel = kvs::select;
  kvs::status s = both<kvs::random<sel::chunks, kvs::store::ragged>, T, D>(on, w);
  if (s) s = chosen<kvs::random<sel::pages>, T, D>(on, w);
  if (s) s = chosen<kvs::random<sel::top_k_in_spans>, T, D>(on, w);
  if (s) s = chosen<kvs::random<sel::gumbel>, T, D>(on, w);
  if (s) s = chosen<kvs::random<kvs::weigh::value_norm, sel::two_stage>, T, D>(on, w);
  if (s) s = chosen<kvs::random<sel::windows, kvs::store::ragged>, T, D>(on, w);
  if (s) s = chosen<kvs::random<sel::page_representatives>, T, D>(on, w);
  if (s) s = chosen<kvs::key_diff_block_wise<>, T, D>(on, w);
  if (s) s = chosen<kvs::key_norm<sel::block_wise>, T, D>(on, w);
  return s;
}
template <class T, int D>
kvs::status all_strategies(kvs::device::on on, kvs::device::workspace const& w) {
  kvs::status s = both<kvs::key_norm<>, T, D>(on, w);
  if (s) s = chosen<kvs::key_diff<kvs::smooth::max>, T, D>(on, w);
  if (s) s = chosen<kvs::streaming_llm<>, T, D>(on, w);
  if (s) s = chosen<kvs::random<kvs::select::heavy_hitters>, T, D>(on, w);
  if (s) s = chosen<kvs::random<kvs::select::top_k_in_chunks>, T, D>(on, w);
  if (s) s = chosen<kvs::q_filters<>, T, D>(on, w);
  if (s) s = chosen<kvs::cur<>, T, D>(on, w);
  if (s) s = chosen<kvs::compressor<kvs::score::cur<kvs::leverage_of::keys>>, T, D>(on, w);
  if (s) s = chosen<kvs::value_key_ratio<>, T, D>(on, w);
  if (s) s = chosen<kvs::compressor<kvs::score::value_norm>, T, D>(on, w);
  if (s)
    s = chosen<kvs::key_norm<kvs::lift::mean, kvs::weigh::value_norm, kvs::scale::z_score, kvs::aggregate::heads_sum>,
               T, D>(on, w);
  return s;
}
/// Rows of a sequence in pages, planned where they lie, moved in place and beside, and their tables looked at.
template <class T, int D>
kvs::status in_pages(kvs::device::on on, kvs::device::workspace const& w) {
  using strategy = kvs::key_diff<>;
  auto const pages = kvs::make_paged<16, D>(static_cast<T*>(nullptr), 1, 0, kvs::page_pool_view{}, {});
  auto const rows = kvs::make_rows<D>(static_cast<T*>(nullptr), 1, 0);
  kvs::kv_layer const layer{pages, pages};
  kvs::token_plan const plan = kvs::plan<strategy>(on, layer, strategy::params{}, w);
  if (!plan) return plan.state;
  if (kvs::status const s = kvs::apply<strategy>(on, plan, layer, kvs::kv_layer{rows, rows}); !s) return s;
  if (kvs::status const s = kvs::count_absent_pages(on, layer, nullptr); !s) return s;
  return kvs::apply<strategy>(on, plan, layer);
}
}  // namespace

kvs::status compile_row_kernels(kvs::device::on on, kvs::device::workspace const& w) {
  kvs::status s = all_strategies<float, 128>(on, w);
  if (s) s = all_strategies<kvs::f16, 80>(on, w);
  if (s) s = all_strategies<kvs::bf16, 256>(on, w);
  if (s) s = selections<kvs::bf16, 128>(on, w);
  if (s) s = in_pages<kvs::bf16, 128>(on, w);
  if constexpr (support::all_combinations) {
    if (s) s = all_strategies<float, 64>(on, w);
    if (s) s = all_strategies<kvs::f16, 128>(on, w);
    if (s) s = all_strategies<kvs::bf16, 64>(on, w);
    if (s) s = all_strategies<kvs::bf16, 96>(on, w);
    if (s) s = all_strategies<kvs::bf16, 128>(on, w);
  }
  return s;
}
