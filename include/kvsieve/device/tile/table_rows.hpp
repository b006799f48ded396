// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which rows of a view in pages or of ragged heads a kernel may touch: tables are device memory that no host has read,
// so what they say is cut to what the view says.
#pragma once
#include <kvsieve/core/paged.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Tokens of a head that may be read: tables that say more than the view are cut.
template <row_view V>
[[nodiscard]] KVSIEVE_HD index readable_tokens(V const& v, [[maybe_unused]] index head) {
  index n = v.extent(1);
  if constexpr (ragged_rows<V>) {
    index own = v.mapping().tokens(head);
    if constexpr (paged_rows<V>) {
      index const room = (index{v.mapping().first[head + 1]} - v.mapping().first[head]) * V::layout_type::page;
      own = own < room ? own : room;
    }
    n = own < n ? own : n;
  }
  return n;
}
/// False for a row of a page that the pool does not have: it counts as if it were not there.
template <row_view V>
[[nodiscard]] KVSIEVE_HD bool row_is_there([[maybe_unused]] V const& v, [[maybe_unused]] index head,
                                           [[maybe_unused]] index token) {
  if constexpr (paged_rows<V>) {
    auto const& m = v.mapping();
    auto const entry = static_cast<cs::size_t>(token) / V::layout_type::page;
    index page;
    if constexpr (ragged_rows<V>)
      page = m.table(head)[entry];
    else
      page = m.table[entry];
    return page >= 0 && page < m.pool.pages;
  } else {
    return true;
  }
}
/// False for such a row, and for one that the head does not have: what a list says is not held against heads that have
/// numbers of tokens of their own.
template <row_view V>
[[nodiscard]] KVSIEVE_HD bool row_can_be_read(V const& v, index head, index token) {
  if constexpr (ragged_rows<V>)
    if (token >= readable_tokens(v, head)) return false;
  return row_is_there(v, head, token);
}
/// Rows of `count` that a head has room for: of tables in device memory no more than they have pages for.
template <row_view V>
[[nodiscard]] KVSIEVE_HD int writable_rows([[maybe_unused]] V const& v, [[maybe_unused]] index head, int count) {
  if constexpr (paged_rows<V> && ragged_rows<V>) {
    index const room = (index{v.mapping().first[head + 1]} - v.mapping().first[head]) * V::layout_type::page;
    return room < count ? static_cast<int>(room < 0 ? 0 : room) : count;
  } else {
    return count;
  }
}
/// False for a row that a head has no room for, and for one of a page that the pool does not have.
template <row_view V>
[[nodiscard]] KVSIEVE_HD bool row_can_be_written(V const& v, index head, index token) {
  if constexpr (paged_rows<V> && ragged_rows<V>)
    if (token >= (index{v.mapping().first[head + 1]} - v.mapping().first[head]) * V::layout_type::page) return false;
  return row_is_there(v, head, token);
}
/// Writes an element of such a row; of another nothing.
template <row_view V>
KVSIEVE_HD void put_element(V const& v, index head, index token, index channel, element_of<V> const& x) {
  if (row_can_be_written(v, head, token)) v(head, token, channel) = x;
}
}  // namespace device
}  // namespace kvsieve::inline v0
