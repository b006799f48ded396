// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body that writes the counts of a plan where other kernels read them as lengths, and its launch.
#pragma once
#include <kvsieve/device/call/launch_views.hpp>
#include <kvsieve/device/call/open_plan.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of such a launch.
struct counted_lists {
  kept_lists kept;
  int* count;  ///< [heads]
};
struct copy_counts_args {
  batch<counted_lists> views;
  int heads;
};
/// Block (0, 0, view): what its heads keep.
struct copy_counts_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, copy_counts_args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    for (int h = b.rank(); h < a.heads; h += Block::threads) view.count[h] = view.kept.count(h);
  }
};

/// Writes those of all views, [views * heads].
template <class Launcher, class Plan>
[[nodiscard]] status write_counts(Launcher const& on, Plan const& plan, cs::span<int> counts) {
  if (!plan) return plan.state;
  auto const wanted = static_cast<double>(index{plan.views} * plan.heads);
  if (static_cast<double>(counts.size()) != wanted)
    return range::entries("counts", static_cast<double>(counts.size()), wanted);
  if (counts.data() == nullptr) return fail(errc::bad_pointer, "counts", 0, "must not be null;", 0);
  if (status const s = within_reach(on, counts.data(), "counts"); !s) return s;
  copy_counts_args args{{}, plan.heads};
  return launch_views<copy_counts_body>(on, plan.views, 1, 1, args, [&](int v, counted_lists& part) {
    part = {lists_of(plan, v), counts.data() + index{v} * plan.heads};
    return 1;
  });
}
}  // namespace device
}  // namespace kvsieve::inline v0
