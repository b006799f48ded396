// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// store::divide and store::divide_by_score on a CUDA device: one plan becomes several, a part of a stored layer each.
// Parts are applied to targets of their own and joined by make_parts for attend, as on the host; nothing comes back to
// it in between, so all of it may be captured into a CUDA graph.
#pragma once
#include <kvsieve/device/on.cuh>
#include <kvsieve/device/store/divider.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// Bytes of both parts of the workspace that divide needs for a plan of the device, a token_plan or an open_plan; 0
/// where it would refuse the plan or the number of parts.
template <class Plan>
[[nodiscard]] device::workspace_size divide_workspace_bytes(device::on on, Plan const& plan, int parts) noexcept {
  return device::division<device::on, Plan>(on, plan, parts).bytes();
}
/// Divides a plan of the device, as divide on the host says it. Three launches for up to 32 views.
/// @param on         where to run
/// @param plan       a token_plan or an open_plan of the device; its scores and lengths are those of the parts too
/// @param part_of    part_of(view, head, i), which runs in kernels; what leaves the range goes into the last part
/// @param workspace  at least divide_workspace_bytes(...) bytes; holds the parts afterwards
/// @param parts      the plans of the parts, at most 16, whose counts the device alone knows; none of a view has more
///                   than most(view) of the plan
/// @returns ok, or what was refused, and then `parts` is as it was
template <class Plan, class PartOf>
  requires requires(PartOf const& f) { f(0, 0, 0); }
[[nodiscard]] status divide(device::on on, Plan const& plan, PartOf const& part_of, device::workspace const& workspace,
                            cs::span<device::open_plan> parts) noexcept {
  return device::division<device::on, Plan>(on, plan, static_cast<int>(parts.size())).run(part_of, workspace, parts);
}
/// Divides a plan into what is encoded, parts[0], and what stays as it was, parts[1]. Parts are plans of the same kind:
/// of a token_plan the host knows their counts at once; of an open_plan every count of parts[0] is a multiple of
/// rule.tile, so that formats which hold tokens together take it.
template <class Plan>
[[nodiscard]] status divide(device::on on, Plan const& plan, windows const& rule, device::workspace const& workspace,
                            cs::span<Plan> parts) noexcept {
  if (parts.size() != 2) return fail(errc::bad_shape, "parts", static_cast<double>(parts.size()), "must be", 2);
  return device::division<device::on, Plan>(on, plan, 2).run(rule, workspace, parts);
}

/// Bytes of both parts of the workspace that divide_by_score needs for a plan of the device; 0 where it would refuse
/// the plan or the number of parts.
template <class Plan>
[[nodiscard]] device::workspace_size divide_by_score_workspace_bytes(device::on on, Plan const& plan,
                                                                     int parts) noexcept {
  return device::division<device::on, Plan>(on, plan, parts).bytes_by_score();
}
/// Divides a plan of the device by the scores of its entries, as divide_by_score on the host says it: the same lists,
/// ties included. Fifteen launches for up to 32 views,
/// whatever the scores.
/// @param on         where to run
/// @param plan       a token_plan or an open_plan of the device
/// @param entries    [parts.size()], each at least 0; read at once
/// @param workspace  at least divide_by_score_workspace_bytes(...) bytes; holds the parts afterwards
/// @param parts      the plans of the parts, at most 16; parts[p].rows is at most entries[p] but for the last
/// @returns ok, or what was refused, and then `parts` is as it was
template <class Plan>
[[nodiscard]] status divide_by_score(device::on on, Plan const& plan, cs::span<index const> entries,
                                     device::workspace const& workspace, cs::span<device::open_plan> parts) noexcept {
  return device::division<device::on, Plan>(on, plan, static_cast<int>(parts.size()))
      .run_by_score(entries, workspace, parts);
}
}  // namespace store
}  // namespace kvsieve::inline v0
