// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels of the scores that look at all rows of a head, at pairs of keys and at hidden states, of weighed
// query heads and of projected values. A register spill fails the build.
#include <kvsieve/aggregate/group_chosen.hpp>
#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/kvsieve.cuh>
#include <kvsieve/presets.hpp>
#include <kvsieve/score/gate.hpp>
#include <kvsieve/weigh/projected_value.hpp>

#include "combinations.hpp"

namespace kvs = kvsieve;

namespace {
template <class C, class T, int D>
kvs::status one(kvs::device::on on, kvs::device::workspace const& w) {
  auto const rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0);
  kvs::kv_layer const layer{rows, rows};
  typename C::params const p{};
  if constexpr (C::observes_queries)
    return kvs::plan<C>(on, layer, rows, p, w).state;
  else
    return kvs::plan<C>(on, layer, p, w).state;
}
template <class T, int D>
kvs::status of_rows(kvs::device::on on, kvs::device::workspace const& w) {
  namespace score = kvs::score;
  kvs::status s = one<kvs::redundancy<>, T, D>(on, w);
  if (s) s = one<kvs::compressor<score::non_causal_attention>, T, D>(on, w);
  if (s) s = one<kvs::compressor<score::leverage>, T, D>(on, w);
  if (s) s = one<kvs::compressor<score::expected_attention<>>, T, D>(on, w);
  if (s) s = one<kvs::cap_kv<>, T, D>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::weigh::projected_value<>>, T, D>(on, w);
  if (s) s = one<kvs::snap_kv<kvs::weigh::projected_value<kvs::projected::length>>, T, D>(on, w);
  return s;
}
}  // namespace

kvs::status compile_head_kernels(kvs::device::on on, kvs::device::workspace const& w) {
  namespace agg = kvs::aggregate;
  kvs::status s = of_rows<float, 64>(on, w);
  if (s) s = of_rows<kvs::f16, 80>(on, w);
  if (s) s = of_rows<kvs::bf16, 256>(on, w);
  if constexpr (support::all_combinations)
    if (s) s = of_rows<kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::expected_attention_stored<>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::compactor<>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::kv_zap<>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::kv_zap_linear<>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::compressor<kvs::score::gate>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::compress_kv<>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::snap_kv<agg::max, agg::group_chosen>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::kvzip_normalized<>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::critical_kv<>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::defensive_kv<>, kvs::bf16, 128>(on, w);
  if (s) s = one<kvs::layer_defensive_kv<>, kvs::bf16, 128>(on, w);
  return s;
}
