// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels of compaction into other types and formats of rows. A register spill fails the build.
#include <kvsieve/encode/asymmetric.hpp>
#include <kvsieve/encode/bitmap.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/fp8.hpp>
#include <kvsieve/encode/int4_row.hpp>
#include <kvsieve/encode/int8_row.hpp>
#include <kvsieve/encode/kept_channels.hpp>
#include <kvsieve/encode/kivi.hpp>
#include <kvsieve/encode/nvfp4.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q4_0.hpp>
#include <kvsieve/encode/q4_1.hpp>
#include <kvsieve/encode/q5_0.hpp>
#include <kvsieve/encode/q5_1.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/kvsieve.cuh>

namespace kvs = kvsieve;
namespace enc = kvs::encode;

namespace {
using strategy = kvs::random<>;

template <class T, int D, class Keys, class Values = Keys>
kvs::status into(kvs::device::on on, kvs::token_plan const& plan) {
  auto const rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 1);
  kvs::kv_layer const to{kvs::make_encoded<Keys, D>(static_cast<kvs::byte*>(nullptr), 1, 1),
                         kvs::make_encoded<Values, D>(static_cast<kvs::byte*>(nullptr), 1, 1)};
  return kvs::apply<strategy>(on, plan, kvs::kv_layer{rows, rows}, to);
}
template <class Codec, int D>
auto coded() {
  return kvs::make_encoded<Codec, D>(static_cast<kvs::byte*>(nullptr), 1, 1);
}
}  // namespace

kvs::status compile_encode_kernels(kvs::device::on on, kvs::token_plan const& plan) {
  using kvs::bf16, kvs::f16;
  kvs::status s = into<bf16, 128, enc::q4_0, enc::q4_1>(on, plan);
  if (s) s = into<bf16, 128, enc::q5_0, enc::q5_1>(on, plan);
  if (s) s = into<bf16, 128, enc::q8_0>(on, plan);
  if (s) s = into<bf16, 128, enc::asymmetric, enc::bits<3>>(on, plan);
  if (s) s = into<bf16, 128, enc::bits<2, enc::scale_by::search>, enc::bits<6>>(on, plan);
  if (s) s = into<bf16, 128, enc::int8_row, enc::int4_row>(on, plan);
  if (s) s = into<bf16, 128, enc::fp8<enc::e4m3>, enc::fp8_row<enc::e5m2>>(on, plan);
  if (s) s = into<bf16, 128, enc::nvfp4, enc::bitmap<38>>(on, plan);
  if (s) s = into<bf16, 128, enc::kivi_keys<2>, enc::kivi_values<2>>(on, plan);
  if (s) s = into<f16, 80, enc::kivi_keys<4, 128>, enc::kivi_values<4, 16>>(on, plan);
  if (s) s = into<float, 128, enc::rotated<enc::bits<3>>, enc::plain<f16>>(on, plan);
  if (s) s = into<float, 64, enc::kept_channels<48, enc::plain<f16>>, enc::rotated<enc::int8_row>>(on, plan);
  if (s) s = into<bf16, 512, enc::q8_0, enc::int8_row>(on, plan);
  // Encoded rows as they are, in place, and decoded.
  kvs::kv_layer const encoded{coded<enc::q8_0, 128>(), coded<enc::q4_0, 128>()};
  auto const dense = kvs::make_rows<128>(static_cast<float*>(nullptr), 1, 1);
  if (s) s = kvs::apply<strategy>(on, plan, encoded, encoded);
  if (s) s = kvs::apply<strategy>(on, plan, encoded);
  if (s) s = kvs::apply<strategy>(on, plan, encoded, kvs::kv_layer{dense, dense});
  return s;
}
