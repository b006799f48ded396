// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compiles the kernels that divide a plan. A register spill fails the build.
#include <kvsieve/device/divide.cuh>

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
}  // namespace

kvs::status compile_store_kernels(kvs::device::on on, kvs::token_plan const& counted,
                                  kvs::device::open_plan const& open, kvs::device::workspace const& w) {
  kvs::status const s = divide(on, counted, w);
  return s ? divide(on, open, w) : s;
}
