// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What tables of pages are held against: each page once, no page in two tables, rows of two pages apart. Without
// memory of its own: page ids are marked on the stack, a part of the pool at a time.
#pragma once
#include <cuda/std/cstdint>

#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {

/// Where rows lie in a pool of pages, in elements; of encoded rows, in rows.
struct page_strides {
  index page = 0;   ///< from a page to the next
  index head = 0;   ///< from a head to the next within a page; 0 where a page holds one head
  index token = 0;  ///< from a token to the next within a page
  friend constexpr bool operator==(page_strides const&, page_strides const&) = default;  ///< all three
};

/// Pages that hold [page, heads, row], tokens outermost; `row` is D, or 2 D where a row is a key and a value.
[[nodiscard]] KVSIEVE_HD constexpr page_strides nhd_pages(index page, index heads, index row) noexcept {
  return {page * heads * row, row, heads * row};
}
/// Pages that hold [heads, page, row], heads outermost.
[[nodiscard]] KVSIEVE_HD constexpr page_strides hnd_pages(index page, index heads, index row) noexcept {
  return {page * heads * row, page * row, row};
}

namespace detail {
/// One bit for each page of a part of a pool.
class page_marks {
 public:
  static constexpr index most = index{1} << 17;  ///< pages of a part

  /// Forgets all marks; a part of `pages` pages from `first` on comes.
  void begin(index first, index pages) noexcept {
    first_ = first;
    count_ = pages < most ? pages : most;
    for (index w = 0; w < (count_ + 63) / 64; ++w) words_[w] = 0;
  }
  /// Marks a page of the part; true when it was marked. Pages of other parts are passed over.
  bool mark(index page) noexcept {
    if (!holds(page)) return false;
    cs::uint64_t const bit = cs::uint64_t{1} << ((page - first_) & 63);
    bool const was = (words_[(page - first_) >> 6] & bit) != 0;
    words_[(page - first_) >> 6] |= bit;
    return was;
  }
  /// True for a marked page of the part.
  [[nodiscard]] bool marked(index page) const noexcept {
    return holds(page) && (words_[(page - first_) >> 6] >> ((page - first_) & 63) & 1u) != 0;
  }

 private:
  [[nodiscard]] bool holds(index page) const noexcept { return page >= first_ && page < first_ + count_; }
  index first_ = 0, count_ = 0;
  cs::uint64_t words_[most / 64];
};

/// Calls f(page, entry) for the pages of a table in turn, until it returns true; says whether it did.
template <class F>
bool each_page(int const* table, index entries, F const& f) {
  for (index i = 0; i < entries; ++i)
    if (f(index{table[i]}, i)) return true;
  return false;
}

/// The first page that comes a second time: `each(f)` calls f(page, entry) until it returns true. -1, -1: none.
struct repeated_page {
  index page = -1;   ///< its id
  index entry = -1;  ///< where it comes again
};
template <class Each>
[[nodiscard]] repeated_page find_repeated(index pool_pages, Each const& each) {
  page_marks marks;
  repeated_page found;
  for (index first = 0; first < pool_pages && found.page < 0; first += page_marks::most) {
    marks.begin(first, pool_pages - first);
    each([&](index page, index entry) {
      if (marks.mark(page)) found = {page, entry};
      return found.page >= 0;
    });
  }
  return found;
}
/// True when a page p of `a` and the page p + apart of `b` are both there.
template <class EachA, class EachB>
[[nodiscard]] bool any_page_apart(index pool_pages, index apart, EachA const& a, EachB const& b) {
  page_marks marks;
  bool found = false;
  for (index first = 0; first < pool_pages && !found; first += page_marks::most) {
    marks.begin(first, pool_pages - first);
    a([&](index page, index) {
      marks.mark(page + apart);
      return false;
    });
    b([&](index page, index) { return found = marks.marked(page); });
  }
  return found;
}

/// Calls f(apart, same) for each difference `apart` of page ids at which a row of D channels of one page and one of
/// another, which lies `delta` elements further on, share elements; `same` where these are the same head and token.
/// Until f returns true; says whether it did, or whether there are too many to tell.
template <class F>
bool each_collision(page_strides const& s, index page, index heads, index pool_pages, index D, index delta,
                    F const& f) {
  index const reach = (page - 1) * s.token, step = s.page < 1 ? 1 : s.page;
  if (s.page < 1 && pool_pages > 1) return true;
  for (index dh = 1 - heads; dh < heads; ++dh) {
    index const from = delta + dh * s.head;  // rows lie from - reach to from + reach apart
    auto const floor = [](index x, index y) { return x >= 0 ? x / y : -((-x + y - 1) / y); };
    index least = floor(-from - reach - D, step), largest = floor(-from + reach + D, step) + 1;
    if (least < 1 - pool_pages) least = 1 - pool_pages;
    if (largest > pool_pages - 1) largest = pool_pages - 1;
    if (largest - least > 256) return true;
    for (index k = least; k <= largest; ++k) {
      index const at = from + k * step;
      auto const near = [&](index dt) {
        index const apart = at + dt * s.token;
        return dt > -page && dt < page && apart > -D && apart < D;
      };
      if (s.token < D) {  // rows of a page overlap already
        if (at - reach < D && at + reach > -D && f(k, false)) return true;
        continue;
      }
      index const dt = floor(-at, s.token);
      if (near(dt) && f(k, k == 0 && dh == 0 && dt == 0 && delta == 0)) return true;
      if (near(dt + 1) && f(k, k == 0 && dh == 0 && dt + 1 == 0 && delta == 0)) return true;
    }
  }
  return false;
}
}  // namespace detail
}  // namespace kvsieve::inline v0
