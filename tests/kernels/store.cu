// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels that divide a plan, that choose channels, and that move heads with lengths of their own. A
// register spill fails the build.
#include <kvsieve/core/paged.hpp>
#include <kvsieve/device/channels.cuh>
#include <kvsieve/device/divide.cuh>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/kvsieve.cuh>

namespace kvs = kvsieve;

namespace {
struct by_head {
  [[nodiscard]] KVSIEVE_HD int operator()(int, int head, int) const { return head % 2; }
};
template <class Plan>
kvs::status divide(kvs::device::on on, Plan const& plan, kvs::device::workspace const& w) {
  kvs::device::open_plan parts[3];
  kvs::cs::span<kvs::device::open_plan> const open(parts, 2);
  Plan windows[2];
  kvs::index const entries[3] = {};
  if (kvs::store::divide_workspace_bytes(on, plan, 2).device > w.device.size()) return {};
  kvs::status s = kvs::store::divide(on, plan, by_head{}, w, open);
  if (s) s = kvs::store::divide(on, plan, kvs::store::windows{}, w, kvs::cs::span<Plan>(windows, 2));
  if (s && kvs::store::divide_by_score_workspace_bytes(on, plan, 3).device <= w.device.size())
    s = kvs::store::divide_by_score(on, plan, {entries, 3}, w, kvs::cs::span<kvs::device::open_plan>(parts, 3));
  return s;
}
template <class T, int D>
kvs::status channels(kvs::device::on on) {
  auto const rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 0);
  return kvs::store::think_channels(on, kvs::kv_layer{rows, rows}, rows, kvs::store::think{}, {});
}
template <class Layer>
kvs::status moves(kvs::device::on on, kvs::token_plan const& plan, Layer const& layer) {
  auto const to = kvs::make_rows<Layer::head_dim>(static_cast<kvs::bf16*>(nullptr), 1, 0);
  kvs::status const s = kvs::apply<kvs::random<>>(on, plan, layer);
  return s ? kvs::apply<kvs::random<>>(on, plan, layer, kvs::kv_layer{to, to}) : s;
}
}  // namespace

kvs::status compile_store_kernels(kvs::device::on on, kvs::token_plan const& counted,
                                  kvs::device::open_plan const& open, kvs::device::workspace const& w) {
  kvs::status s = divide(on, counted, w);
  if (s) s = divide(on, open, w);
  if (s) s = channels<kvs::bf16, 128>(on);
  if (s) s = channels<float, 64>(on);
  if (s) s = channels<kvs::f16, 512>(on);
  auto* const rows = static_cast<kvs::bf16*>(nullptr);
  auto* const bytes = static_cast<kvs::byte*>(nullptr);
  auto const packed = kvs::make_ragged<128>(rows, 1, nullptr, 1);
  auto const paged = kvs::make_ragged_paged<16, 128>(rows, 1, kvs::page_pool_view{}, {.longest = 1});
  auto const encoded =
      kvs::make_encoded_ragged_paged<kvs::encode::q8_0, 16, 128>(bytes, 1, kvs::page_pool_view{}, {.longest = 1});
  if (s) s = moves(on, counted, kvs::kv_layer{packed, packed});
  if (s) s = moves(on, counted, kvs::kv_layer{paged, paged});
  if (s) s = moves(on, counted, kvs::kv_layer{encoded, encoded});
  return s;
}
