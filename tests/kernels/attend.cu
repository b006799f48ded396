// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels of decode attention: every element type, small and large head dimensions, pages, ragged heads
// with biases, parts, and formats of rows; with all combinations, the head dimensions of common models and each format
// as keys and values. A register spill fails the build.
#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/core/paged.hpp>
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/fp8.hpp>
#include <kvsieve/encode/int8_row.hpp>
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/kvsieve.cuh>

#include "combinations.hpp"

namespace kvs = kvsieve;

namespace {
using bytes = std::span<std::byte>;

template <class T, class Layer>
kvs::status one(kvs::device::on on, Layer const& layer, bytes w) {
  constexpr int D = Layer::head_dim;
  auto const query = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 1);
  auto const out = kvs::make_rows<D>(static_cast<float*>(nullptr), 1, 1);
  return kvs::attend_workspace_bytes(on, query, layer) > w.size() ? kvs::status{}
                                                                  : kvs::attend(on, query, layer, out, w);
}
template <class T, int D>
kvs::status dense(kvs::device::on on, bytes w) {
  auto const rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 1);
  return one<T>(on, kvs::kv_layer{rows, rows}, w);
}
template <class T, int D>
kvs::status tables(kvs::device::on on, bytes w) {
  kvs::page_pool_view const pool{};
  auto const ragged = kvs::make_ragged<D>(static_cast<T const*>(nullptr), 1, nullptr, 1);
  auto const paged = kvs::make_paged<16, D>(static_cast<T const*>(nullptr), 1, 1, pool, {});
  auto const both = kvs::make_ragged_paged<16, D>(static_cast<T const*>(nullptr), 1, pool, {.longest = 1});
  kvs::status s = one<T>(on, kvs::kv_layer{ragged, ragged, kvs::entry_bias{}}, w);
  if (s) s = one<T>(on, kvs::kv_layer{paged, paged}, w);
  if (s) s = one<T>(on, kvs::kv_layer{both, both}, w);
  return s;
}
template <class Keys, class Values, int D>
auto encoded() {
  return kvs::kv_layer{kvs::make_encoded<Keys, D>(static_cast<kvs::byte const*>(nullptr), 1, 1),
                       kvs::make_encoded<Values, D>(static_cast<kvs::byte const*>(nullptr), 1, 1)};
}
template <class Keys, class Values = Keys>
kvs::status format(kvs::device::on on, bytes w) {
  return one<kvs::bf16>(on, encoded<Keys, Values, 128>(), w);
}
}  // namespace

kvs::status compile_attend_kernels(kvs::device::on on, bytes w) {
  namespace enc = kvs::encode;
  kvs::status s = dense<float, 128>(on, w);
  if (s) s = dense<kvs::f16, 80>(on, w);
  if (s) s = dense<kvs::bf16, 128>(on, w);
  if (s) s = dense<kvs::bf16, 512>(on, w);
  if (s) s = tables<kvs::bf16, 128>(on, w);
  if (s) s = format<enc::q8_0, enc::q4_0>(on, w);
  if (s) s = format<enc::int8_row, enc::fp8<enc::e4m3>>(on, w);
  if (s) s = format<enc::kivi_keys<2>, enc::kivi_values<2>>(on, w);
  if (s) s = format<enc::kept_channels<64, enc::plain<kvs::f16>>, enc::q8_0>(on, w);
  auto const rows = kvs::make_rows<128>(static_cast<kvs::bf16 const*>(nullptr), 1, 1);
  if (s)
    s = one<kvs::bf16>(
        on, kvs::make_parts(encoded<enc::rotated<enc::bits<3>>, enc::bitmap<38>, 128>(), kvs::kv_layer{rows, rows}), w);
  if constexpr (support::all_combinations) {
    if (s) s = dense<float, 64>(on, w);
    if (s) s = dense<kvs::f16, 128>(on, w);
    if (s) s = dense<kvs::bf16, 64>(on, w);
    if (s) s = dense<kvs::bf16, 96>(on, w);
    if (s) s = dense<kvs::bf16, 256>(on, w);
    if (s) s = format<enc::q8_0>(on, w);
    if (s) s = format<enc::q4_0>(on, w);
    if (s) s = format<enc::int8_row>(on, w);
    if (s) s = format<enc::fp8<enc::e4m3>>(on, w);
    if (s) s = format<enc::bitmap<38>>(on, w);
    if (s) s = format<enc::rotated<enc::bits<3>>>(on, w);
  }
  return s;
}
