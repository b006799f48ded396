// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Tables that a caller brings for the layers of a model, and which part of them a view reads.
#pragma once
#include <cuda/std/cstdint>
#include <cuda/std/span>

#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace tables {

/// Refuses a table that is not whole layers of `per_layer` numbers, or whose layers the views do not name: by `list`,
/// or in order, sequence by sequence.
[[nodiscard]] constexpr status check(char const* name, cs::size_t entries, cs::int64_t per_layer, char const* list_name,
                                     cs::span<int const> list, int views) {
  auto const size = static_cast<double>(entries);
  if (entries == 0 || per_layer < 1 || entries % static_cast<cs::size_t>(per_layer) != 0)
    return fail(errc::bad_shape, name, size, "entries; it must have some for each layer, a multiple of",
                static_cast<double>(per_layer));
  auto const layers = static_cast<cs::int64_t>(entries) / per_layer;
  if (list.empty()) {
    if (views % layers == 0) return {};
    return range::entries(name, size, static_cast<double>(views) * static_cast<double>(per_layer));
  }
  status s = range::entries(list_name, static_cast<double>(list.size()), views);
  for (cs::size_t i = 0; s && i < list.size(); ++i)
    s = range::within(list_name, list[i], 0, static_cast<double>(layers - 1));
  return s;
}

/// Where the numbers of a view begin. @pre check() was ok
template <class T>
[[nodiscard]] KVSIEVE_HD constexpr T const* of_view(cs::span<T const> table, cs::int64_t per_layer,
                                                    cs::span<int const> list, int view) {
  auto const layers = static_cast<int>(static_cast<cs::int64_t>(table.size()) / per_layer);
  return table.data() + per_layer * counts::layer_of(list, layers, view);
}
/// The same as a table of that layer alone. @pre check() was ok
template <class T>
[[nodiscard]] constexpr cs::span<T const> of_layer(cs::span<T const> table, cs::int64_t per_layer,
                                                   cs::span<int const> list, int view) {
  return {of_view(table, per_layer, list, view), static_cast<cs::size_t>(per_layer)};
}
}  // namespace tables
}  // namespace kvsieve::inline v0
