// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// One plan becomes several, a part of a stored layer each: sinks and recent tokens that stay as they were, the middle
// that is encoded; or levels of precision.
#pragma once
#include <span>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/range.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// Entries that a plan keeps, of all views and heads.
[[nodiscard]] constexpr index entries_of(token_plan const& plan) {
  return plan.views == 0 ? 0 : plan.offset[index{plan.views} * plan.heads];
}

/// Bytes of workspace that divide needs; aligned to 64 bytes.
[[nodiscard]] inline std::size_t divide_workspace_bytes(token_plan const& plan, int parts) noexcept {
  arena counting;
  for (int p = 0; p < parts; ++p) counting.take<index>(static_cast<std::size_t>(index{plan.views} * plan.heads + 1));
  counting.take<int>(static_cast<std::size_t>(entries_of(plan)));
  return counting.used();
}

/// Divides a plan. Each entry goes into one of the parts, where lists ascend as they did.
/// @param plan       a plan in host memory; its scores and lengths are those of the parts too, so it has to stay
/// @param part_of    part_of(view, head, i) tells, for entry i of a head's list, its part, from 0 to parts.size() - 1
/// @param workspace  at least divide_workspace_bytes(...) bytes, aligned to 64; holds the parts afterwards
/// @param parts      the plans of the parts, of class U3
/// @returns ok, or what was refused, and then `parts` is as it was
template <class PartOf>
[[nodiscard]] status divide(token_plan const& plan, PartOf const& part_of, std::span<std::byte> workspace,
                            cs::span<token_plan> parts) noexcept {
  if (!plan) return plan.state;
  int const count = static_cast<int>(parts.size());
  if (count < 1) return fail(errc::bad_shape, "parts", count, "must be at least", 1);
  if (status const s = check::workspace(workspace, divide_workspace_bytes(plan, count)); !s) return s;
  for (int v = 0; v < plan.views; ++v)
    for (int h = 0; h < plan.heads; ++h)
      for (int i = 0; i < plan.count(v, h); ++i)
        if (int const p = part_of(v, h, i); p < 0 || p >= count)
          return fail(errc::bad_params, "part_of", p, "must be at least 0 and less than", count, v);
  arena a(workspace);
  index const lists = index{plan.views} * plan.heads;
  int* next = nullptr;
  for (int p = 0; p < count; ++p) {
    auto* const offset = a.take<index>(static_cast<std::size_t>(lists + 1));
    parts[static_cast<std::size_t>(p)] = plan;
    parts[static_cast<std::size_t>(p)].offset = offset;
    parts[static_cast<std::size_t>(p)].uniformity_class = uniformity::U3;
  }
  next = a.take<int>(static_cast<std::size_t>(entries_of(plan)));
  for (int p = 0; p < count; ++p) {
    auto& part = parts[static_cast<std::size_t>(p)];
    auto* const offset = const_cast<index*>(part.offset);  // of the workspace, taken above
    part.list = next;
    index used = 0;
    for (int v = 0; v < plan.views; ++v)
      for (int h = 0; h < plan.heads; ++h) {
        offset[v * plan.heads + h] = used;
        auto const kept = plan.kept(v, h);
        for (int i = 0; i < plan.count(v, h); ++i)
          if (part_of(v, h, i) == p) next[used++] = kept[static_cast<std::size_t>(i)];
      }
    offset[lists] = used;
    next += used;
  }
  return {};
}

/// Which entries of a head's list are encoded and which stay as they were: the first `sink` and the last `recent`, and
/// of the ones between, as many more of the last as do not fill a tile of the format.
struct windows {
  int sink = 0;    ///< entries, from the first on
  int recent = 0;  ///< entries, from the last on, at least
  int tile = 1;    ///< tokens that the format holds together (Codec::tile_tokens)

  /// Entries of a list of `count` that are encoded; those before them are the first `sink`.
  [[nodiscard]] KVSIEVE_HD constexpr int encoded(int count) const {
    index const between = index{count} - sink - recent;
    return between < tile ? 0 : static_cast<int>(between / tile * tile);
  }
  /// 0: encoded, 1: as it was.
  [[nodiscard]] KVSIEVE_HD constexpr int part_of(int count, int i) const {
    return i >= sink && i < sink + encoded(count) ? 0 : 1;
  }
  /// Ok, or the number that is out of range.
  [[nodiscard]] constexpr status check() const {
    return range::all(range::at_least("windows.sink", sink, 0), range::at_least("windows.recent", recent, 0),
                      range::at_least("windows.tile", tile, 1));
  }
};
/// Divides a plan into what is encoded, parts[0], and what stays as it was, parts[1].
[[nodiscard]] inline status divide(token_plan const& plan, windows const& rule, std::span<std::byte> workspace,
                                   cs::span<token_plan> parts) noexcept {
  if (status const s = rule.check(); !s) return s;
  if (parts.size() != 2) return fail(errc::bad_shape, "parts", static_cast<double>(parts.size()), "must be", 2);
  return divide(plan, [&](int v, int h, int i) { return rule.part_of(plan.count(v, h), i); }, workspace, parts);
}
}  // namespace store
}  // namespace kvsieve::inline v0
