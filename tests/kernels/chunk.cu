// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels of the per-chunk scorers for every element type and small and large head dimensions; with all
// combinations, those of common models. A register spill fails the build.
#include <kvsieve/kvsieve.cuh>

#include "combinations.hpp"

namespace kvs = kvsieve;

namespace {
template <class T, int D>
kvs::status both_forms(kvs::device::on on, kvs::device::workspace const& w) {
  auto const rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0);
  kvs::kv_layer const layer{rows, rows};
  if (kvs::token_plan const p = kvs::plan<kvs::lag_kv<>>(on, layer, {}, w); !p) return p.state;
  return kvs::plan<kvs::lag_kv_streaming<>>(on, layer, {}, w).state;
}
}  // namespace

kvs::status compile_chunk_kernels(kvs::device::on on, kvs::device::workspace const& w) {
  kvs::status s = both_forms<float, 128>(on, w);
  if (s) s = both_forms<kvs::f16, 80>(on, w);
  if (s) s = both_forms<kvs::bf16, 256>(on, w);
  if constexpr (support::all_combinations) {
    if (s) s = both_forms<float, 64>(on, w);
    if (s) s = both_forms<kvs::f16, 128>(on, w);
    if (s) s = both_forms<kvs::bf16, 64>(on, w);
    if (s) s = both_forms<kvs::bf16, 96>(on, w);
    if (s) s = both_forms<kvs::bf16, 128>(on, w);
  }
  return s;
}
