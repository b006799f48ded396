// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Pools of pages, and what tables of their pages have to be before they are read or written.
#pragma once
#include <kvsieve/core/page_marks.hpp>
#include <kvsieve/core/status.hpp>

namespace kvsieve::inline v0 {

/// A pool of pages. Several sequences may share it, and pages of it.
struct page_pool_view {
  index pages = 0;                  ///< pages of the pool: ids are from 0 to pages - 1
  page_strides stride{};            ///< where rows lie in it
  int const* references = nullptr;  ///< [pages] tables that name each page, or null; pages that several name are not
                                    ///< written: who writes copies them first
};

namespace detail {
/// The page, or 0 where the pool does not have it.
[[nodiscard]] KVSIEVE_HD constexpr index page_within(int page, index pages) noexcept {
  return static_cast<cs::uint64_t>(page) < static_cast<cs::uint64_t>(pages) ? page : 0;
}
/// A pool by itself: strides that cannot overflow.
[[nodiscard]] inline status check_pool(page_pool_view const& p, char const* name, int view) {
  constexpr index most_pages = 0x7fffffff, most_stride = index{1} << 40, most_elements = index{1} << 50;
  auto const within = [&](index x, index most, char const* rule) {
    return x >= 0 && x <= most
               ? status{}
               : fail(errc::bad_shape, name, static_cast<double>(x), rule, static_cast<double>(most), view);
  };
  if (status const s = within(p.pages, most_pages, "pages of a pool, which must be from 0 to"); !s) return s;
  if (status const s = within(p.stride.page, most_elements / (p.pages < 1 ? 1 : p.pages),
                              "is a page stride, which must be, for so many pages, from 0 to");
      !s)
    return s;
  if (status const s = within(p.stride.head, most_stride, "is a head stride, which must be from 0 to"); !s) return s;
  return within(p.stride.token, most_stride, "is a token stride, which must be from 0 to");
}
/// Ids of a table that are pages of the pool.
[[nodiscard]] inline status check_ids(int const* table, index entries, page_pool_view const& p, char const* name,
                                      int view) {
  for (index i = 0; i < entries; ++i)
    if (table[i] < 0 || table[i] >= p.pages)
      return fail(errc::bad_shape, name, table[i], "is a page, which must be at least 0 and less than the pool's",
                  static_cast<double>(p.pages), view);
  return {};
}
/// Strides that keep rows of all pages apart.
[[nodiscard]] inline status check_strides(page_pool_view const& p, index page, index heads, index D, char const* name,
                                          int view) {
  if (!each_collision(p.stride, page, heads, p.pages, D, 0, [](index, bool same) { return !same; })) return {};
  return fail(errc::overlap, name, static_cast<double>(p.stride.page),
              "is a page stride at which rows overlap, with a token stride of", static_cast<double>(p.stride.token),
              view);
}
/// Pages [first, last) of a table that are to be written: those of other tables are not.
[[nodiscard]] inline status check_own(int const* table, index first, index last, page_pool_view const& p,
                                      char const* name, int view) {
  for (index i = first; p.references != nullptr && i < last; ++i) {
    int const users = p.references[table[i]];
    if (users > 1)
      return fail(errc::shared_page, name, table[i],
                  "is a page that would be written: copy it first, the tables that name it are", users, view);
    if (users < 1)
      return fail(errc::bad_params, name, table[i], "is a page that nobody holds: its references are", users, view);
  }
  return {};
}
[[nodiscard]] inline status check_once(repeated_page const& twice, char const* name, int view) {
  if (twice.page < 0) return {};
  return fail(errc::overlap, name, static_cast<double>(twice.page),
              "is a page that a table to be written has twice, again at entry", static_cast<double>(twice.entry), view);
}
/// Tiles of `tile` rows in pages.
[[nodiscard]] inline status check_page_tiles(page_pool_view const& p, index page, index D, index tile, char const* name,
                                             int view) {
  auto const at = [](index x) { return static_cast<double>(x); };
  if (page % tile != 0)
    return fail(errc::bad_shape, name, at(page), "tokens of a page, which must be a multiple of a tile's", at(tile),
                view);
  for (index const stride : {p.stride.page, p.stride.head})
    if (stride % (D * tile) != 0)
      return fail(errc::bad_shape, name, at(stride), "is a stride, which must be a multiple of a tile,", at(D * tile),
                  view);
  if (tile > 1 ? p.stride.token != D : p.stride.token % D != 0)
    return fail(errc::bad_shape, name, at(p.stride.token),
                tile > 1 ? "is the token stride, which must be, for this format,"
                         : "is the token stride, which must be a multiple of a row,",
                at(D), view);
  return {};
}
}  // namespace detail
}  // namespace kvsieve::inline v0
