// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a call on the device refuses of layouts with tables. The tables are device memory: only what stands beside them
// is looked at, and kernels cut what they say.
#pragma once
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/paged.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// A stride of elements that has to be a multiple of something.
[[nodiscard]] inline status stride_is_multiple(index stride, index of, char const* name, int view) {
  if (stride % of == 0) return {};
  return fail(errc::bad_shape, name, static_cast<double>(stride), "is a stride that must be a multiple of",
              static_cast<double>(of), view);
}

/// What can be seen of a layout of tables without reading them.
/// @param unit  elements: strides of pages, heads and tokens are multiples of it
template <row_view V>
[[nodiscard]] status check_tables(V const& v, index unit, char const* name, int view) {
  auto const& m = v.mapping();
  if constexpr (paged_rows<V>) {
    if (status const s = kvsieve::detail::check_pool(m.pool, name, view); !s) return s;
    if constexpr (is_encoded<V>) {
      if (status const s = m.check_tiles(name, view, index{codec_of<V>::tile_tokens}); !s) return s;
    } else {
      index const strides[] = {m.pool.stride.page, m.pool.stride.head, m.pool.stride.token};
      for (index const stride : strides) {
        if (status const s = stride_is_multiple(stride, unit, name, view); !s) return s;
      }
    }
  }
  if constexpr (paged_rows<V> && !ragged_rows<V>) {
    index const used = m.pages(v.extent(1));
    if (used > 0 && m.table == nullptr) return fail(errc::bad_pointer, name, 0, "must have a table of pages;", 0, view);
    if (used > m.entries)
      return fail(errc::bad_shape, name, static_cast<double>(m.entries),
                  "entries of the table of pages, of which the tokens take", static_cast<double>(used), view);
  } else if constexpr (paged_rows<V>) {
    if (m.list == nullptr || m.first == nullptr || m.length == nullptr)
      return fail(errc::bad_pointer, name, 0, "must have a list of pages, offsets and lengths;", 0, view);
  } else if constexpr (ragged_rows<V>) {
    if (m.offset == nullptr) return fail(errc::bad_pointer, name, 0, "must have offsets;", 0, view);
  }
  return {};
}
}  // namespace device
}  // namespace kvsieve::inline v0
