// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels of merging, of value refit and of attention that remembers. A register spill fails the build.
#include <kvsieve/aggregate/last_above_with_gap.hpp>
#include <kvsieve/aggregate/max.hpp>
#include <kvsieve/aggregate/mean_variance.hpp>
#include <kvsieve/aggregate/sum.hpp>
#include <kvsieve/core/paged.hpp>
#include <kvsieve/encode/bits.hpp>
#include <kvsieve/encode/plain.hpp>
#include <kvsieve/encode/q8_0.hpp>
#include <kvsieve/encode/rotated.hpp>
#include <kvsieve/evict/cam.hpp>
#include <kvsieve/evict/merge.hpp>
#include <kvsieve/evict/zero_merge.hpp>
#include <kvsieve/kvsieve.cuh>

namespace kvs = kvsieve;
namespace evict = kvs::evict;
using kvs::bf16;

namespace {
using bytes = std::span<std::byte>;

template <class Evict, class T, int D>
kvs::status merge(kvs::device::on on, kvs::token_plan const& plan, bytes w) {
  using strategy = kvs::random<Evict>;
  auto const rows = kvs::make_rows<D>(static_cast<T*>(nullptr), 1, 1);
  kvs::kv_layer const layer{rows, rows};
  typename strategy::params const p{};
  if (kvs::apply_workspace_bytes<strategy>(on, plan, layer, p) > w.size()) return {};
  return kvs::apply<strategy>(on, plan, layer, layer, p, w);
}
template <class Evict, class From, class To>
kvs::status merge_into(kvs::device::on on, kvs::token_plan const& plan, From const& from, To const& to, bytes w) {
  using strategy = kvs::random<Evict>;
  typename strategy::params const p{};
  return kvs::apply<strategy>(on, plan, kvs::kv_layer{from, from}, kvs::kv_layer{to, to}, p, w);
}
template <class Codec, int D>
auto coded() {
  return kvs::make_encoded<Codec, D>(static_cast<kvs::byte*>(nullptr), 1, 1);
}
template <class A, int D>
kvs::status observe(kvs::device::on on, bytes w) {
  auto const rows = kvs::make_rows<D>(static_cast<bf16 const*>(nullptr), 1, 1);
  auto const out = kvs::make_rows<D>(static_cast<float*>(nullptr), 1, 1);
  kvs::kv_layer const layer{rows, rows};
  auto const one = [](auto const& x) { return kvs::cs::span<std::remove_cvref_t<decltype(x)> const>(&x, 1); };
  if (kvs::attend_observed_workspace_bytes<A>(on, one(rows), one(layer)) > w.size()) return {};
  kvs::observed_state<A> state{nullptr, 16, 1, 0};
  kvs::status s = kvs::begin_observed(on, state, {}, 0, 1);
  if (s)
    s = kvs::attend_observed<A>(on, one(rows), one(layer), one(out), kvs::cs::span<kvs::observed_state<A>>(&state, 1),
                                {}, w);
  if (s) s = kvs::observed_scores<kvs::aggregate::group_mean>(on, state, {}, {}, 1, 1, {});
  return s;
}
template <class T, int D, class Keys>
kvs::status refit(kvs::device::on on, kvs::token_plan const& plan, bytes w) {
  auto const rows = kvs::make_rows<D>(static_cast<T const*>(nullptr), 1, 1);
  auto const out = kvs::make_rows<D>(static_cast<float*>(nullptr), 1, 1);
  kvs::kv_layer const full{rows, rows};
  kvs::kv_layer const kept{kvs::make_encoded<Keys, D>(static_cast<kvs::byte const*>(nullptr), 1, 1), rows};
  auto const one = [](auto const& x) { return kvs::cs::span<std::remove_cvref_t<decltype(x)> const>(&x, 1); };
  kvs::evict::refit_values::params const p{};
  if (kvs::refit_values_workspace_bytes(on, one(rows), one(full), plan, one(kept), p) > w.size()) return {};
  return kvs::refit_values(on, one(rows), one(full), plan, one(kept), one(out), p, w);
}
}  // namespace

kvs::status compile_apply_kernels(kvs::device::on on, kvs::token_plan const& plan, bytes w) {
  kvs::status s = merge<evict::merge_nearest, bf16, 128>(on, plan, w);
  if (s) s = merge<evict::merge_on_evict, bf16, 128>(on, plan, w);
  if (s) s = merge<evict::look_m_pivot, float, 64>(on, plan, w);
  if (s) s = merge<evict::d2o_merge, kvs::f16, 80>(on, plan, w);
  if (s) s = merge<evict::elastic_merge, bf16, 128>(on, plan, w);
  if (s) s = merge<evict::merge_runs, bf16, 128>(on, plan, w);
  if (s) s = merge<evict::look_m_averaged, bf16, 512>(on, plan, w);
  if (s) s = merge<evict::zero_merge, bf16, 128>(on, plan, w);
  if (s) s = merge<evict::cam, bf16, 128>(on, plan, w);
  if (s) s = merge<evict::cam_prefill, bf16, 128>(on, plan, w);
  auto* const elements = static_cast<bf16*>(nullptr);
  auto const rows = kvs::make_rows<128>(elements, 1, 1);
  auto const pages = kvs::make_paged<16, 128>(elements, 1, 1, kvs::page_pool_view{}, {});
  auto const apart = kvs::make_ragged_paged<16, 128>(elements, 1, kvs::page_pool_view{}, {.longest = 1});
  if (s) s = merge_into<evict::merge_on_evict>(on, plan, rows, pages, w);
  if (s) s = merge_into<evict::merge_on_evict>(on, plan, rows, apart, w);
  using q8_0 = kvs::encode::q8_0;
  if (s) s = merge_into<evict::merge_on_evict>(on, plan, coded<q8_0, 128>(), coded<q8_0, 128>(), w);
  using turned = kvs::encode::rotated<kvs::encode::bits<4>>;
  auto const floats = kvs::make_rows<512>(static_cast<float*>(nullptr), 1, 1);
  if (s) s = merge_into<evict::merge_runs>(on, plan, floats, coded<turned, 512>(), w);
  if (s) s = observe<kvs::aggregate::sum, 128>(on, w);
  if (s) s = observe<kvs::aggregate::max, 64>(on, w);
  if (s) s = observe<kvs::aggregate::mean_variance, 512>(on, w);
  if (s) s = observe<kvs::aggregate::last_above_with_gap, 128>(on, w);
  if (s) s = refit<bf16, 128, kvs::encode::rotated<kvs::encode::bits<3>>>(on, plan, w);
  if (s) s = refit<float, 64, kvs::encode::plain<float>>(on, plan, w);
  return s;
}
