// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels of the attention-based scorers: every accumulator and group policy, every element type and small
// and large head dimensions; with all combinations, those of common models. A register spill fails the build.
#include <kvsieve/aggregate/count_above.hpp>
#include <kvsieve/aggregate/decayed_sum.hpp>
#include <kvsieve/aggregate/last_above.hpp>
#include <kvsieve/aggregate/last_above_with_gap.hpp>
#include <kvsieve/aggregate/mean_variance.hpp>
#include <kvsieve/aggregate/mean_variance_entropy.hpp>
#include <kvsieve/aggregate/root_mean_square.hpp>
#include <kvsieve/aggregate/worst_case.hpp>
#include <kvsieve/core/paged.hpp>
#include <kvsieve/device/score_tokens.cuh>
#include <kvsieve/kvsieve.cuh>
#include <kvsieve/scale/z_score.hpp>
#include <kvsieve/score/blend.hpp>

#include "combinations.hpp"

namespace kvs = kvsieve;

namespace {
template <class C, class T, int D>
kvs::status one(kvs::device::on on, kvs::device::workspace const& w) {
  kvs::kv_layer const layer{kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0),
                            kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0)};
  typename C::params const p{};
  return kvs::plan<C>(on, layer, layer.keys, p, w).state;
}
template <class C, class T, int D>
kvs::status in_pages(kvs::device::on on, kvs::device::workspace const& w) {
  auto const pages = kvs::make_paged<16, D>(static_cast<T const*>(nullptr), 1, 0, kvs::page_pool_view{}, {});
  kvs::kv_layer const layer{pages, pages};
  auto const queries = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0);
  typename C::params const p{};
  return kvs::plan<C>(on, layer, queries, p, w).state;
}
/// Queries that come in parts.
template <class C, class T, int D>
kvs::status in_parts(kvs::device::on on, kvs::device::workspace const& w) {
  auto const rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0);
  kvs::kv_layer const layer{rows, rows};
  auto const one = [](auto const& x) { return kvs::cs::span<std::remove_cvref_t<decltype(x)> const>(&x, 1); };
  typename C::params const p{};
  if (kvs::score_tokens_state_floats<C>(on, one(layer), one(rows), p) > 0) return {};
  return kvs::score_tokens<C>(on, one(layer), one(rows), p, kvs::query_part{}, w).state;
}
}  // namespace

kvs::status compile_query_kernels(kvs::device::on on, kvs::device::workspace const& w) {
  kvs::status s = one<kvs::snap_kv<>, float, 128>(on, w);
  if (s) s = one<kvs::snap_kv<>, kvs::f16, 80>(on, w);
  if (s) s = one<kvs::snap_kv<>, kvs::bf16, 256>(on, w);
  if (s) s = in_pages<kvs::snap_kv<>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::tova<>, float, 64>(on, w);
  if (s) s = one<kvs::tova<>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::observed_attention<kvs::aggregate::group_sum>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::h2o<kvs::aggregate::group_max>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::aggregate::max, kvs::aggregate::group_max, kvs::smooth::max>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::aggregate::max>, float, 64>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::aggregate::root_mean_square>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::aggregate::decayed_sum>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::aggregate::mean_variance>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::aggregate::mean_variance, kvs::aggregate::group_max>, float, 64>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::aggregate::mean_variance_entropy>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::aggregate::count_above>, kvs::f16, 128>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::aggregate::last_above, kvs::aggregate::group_max>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::aggregate::last_above_with_gap, kvs::aggregate::group_max>, kvs::bf16, 128>(on, w);
  if (s) s = in_parts<kvs::snap_kv<>, kvs::bf16, 128>(on, w);
  if (s) s = in_parts<kvs::snap_kv<kvs::aggregate::max, kvs::aggregate::group_max>, kvs::bf16, 128>(on, w);
  if (s) s = in_parts<kvs::snap_kv<kvs::aggregate::mean_variance_entropy>, kvs::bf16, 128>(on, w);
  if (s) s = in_parts<kvs::snap_kv<kvs::aggregate::last_above_with_gap, kvs::aggregate::group_max>, float, 64>(on, w);
  using kvs::observe::sets, kvs::observe::reconstruction, kvs::row_form::logits;
  namespace score = kvs::score;
  namespace agg = kvs::aggregate;
  if (s) s = one<kvs::compressor<score::attention<sets>, agg::root_mean_square>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::compressor<score::attention<reconstruction>, agg::max, agg::group_max>, kvs::bf16, 128>(on, w);
  if (s)
    s = one<kvs::compressor<score::attention<reconstruction, logits>, agg::max, agg::group_max>, float, 128>(on, w);
  if (s) s = one<kvs::compressor<score::attention<sets, logits>, agg::mean>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::finch<>, kvs::f16, 128>(on, w);
  using worst = kvs::compressor<score::attention<kvs::observe::window>, agg::worst_case, agg::group_max>;
  if (s) s = one<worst, float, 64>(on, w);
  if (s) s = one<worst, kvs::bf16, 256>(on, w);
  if (s) s = one<kvs::quest<>, float, 64>(on, w);
  if (s) s = one<kvs::quest<>, kvs::f16, 80>(on, w);
  if (s) s = one<kvs::quest<>, kvs::bf16, 256>(on, w);
  if (s) s = one<kvs::l_serve<>, kvs::bf16, 128>(on, w);
  using z = kvs::scale::z_score;
  if (s) s = one<kvs::compressor<score::blend<kvs::snap_kv<z>, kvs::key_diff<z>>>, kvs::bf16, 128>(on, w);
  if constexpr (support::all_combinations) {
    if (s) s = one<kvs::snap_kv<>, float, 64>(on, w);
    if (s) s = one<kvs::snap_kv<>, kvs::f16, 128>(on, w);
    if (s) s = one<kvs::snap_kv<>, kvs::bf16, 64>(on, w);
    if (s) s = one<kvs::snap_kv<>, kvs::bf16, 96>(on, w);
    if (s) s = one<kvs::snap_kv<>, kvs::bf16, 128>(on, w);
    if (s) s = one<worst, kvs::f16, 80>(on, w);
    if (s) s = one<worst, kvs::bf16, 128>(on, w);
    if (s) s = one<kvs::quest<>, kvs::bf16, 96>(on, w);
  }
  return s;
}
