// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows in pages of a pool, as serving engines hold them: a table of pages for a sequence, or one for each head.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/page_checks.hpp>

namespace kvsieve::inline v0 {

/// mdspan layout of rows in pages of P tokens: token t of the sequence is token t % P of page table[t / P]. All heads
/// share the table; the last page may be partial.
template <int P>
struct layout_paged {
  static_assert(P >= 16 && P <= 256 && P % 16 == 0, "kvsieve: pages have 16 to 256 tokens, a multiple of 16");
  static constexpr int page = P;                     ///< tokens of a page
  static constexpr bool contiguous_channels = true;  ///< channel c + 1 lies behind channel c

  /// Where an element lies, with all that the standard asks of a layout mapping.
  template <class Extents>
  struct mapping {
    /// @cond as in the standard
    using extents_type = Extents;
    using index_type = typename Extents::index_type;
    using size_type = typename Extents::size_type;
    using rank_type = typename Extents::rank_type;
    using layout_type = layout_paged;
    /// @endcond

    Extents shape{};             ///< [heads, tokens, channels]
    int const* table = nullptr;  ///< [entries] pages of the sequence
    index_type entries = 0;      ///< of the table; as many as the tokens take, or more
    page_pool_view pool{};       ///< what the pages are of

    /// The page of an entry of the table. One that the pool does not have is read as page 0: no table leads out of it.
    KVSIEVE_HD constexpr index_type page_of(size_type entry) const noexcept {
      return detail::page_within(table[entry], pool.pages);
    }
    /// Pages that the first `rows` tokens take.
    [[nodiscard]] static constexpr index_type pages(index_type rows) noexcept { return (rows + P - 1) / P; }
    /// A power of two that divides it divides the way from any row of a head to any other.
    KVSIEVE_HD constexpr index_type row_step() const noexcept { return pool.stride.page | pool.stride.token; }
    /// From a token of a page to the next, in elements.
    KVSIEVE_HD constexpr index_type token_step() const noexcept { return pool.stride.token; }

    /// A table that is there, long enough, of pages of the pool.
    [[nodiscard]] status check(char const* name, int view) const {
      if (status const s = detail::check_pool(pool, name, view); !s) return s;
      index_type const used = pages(shape.extent(1));
      if (used > 0 && table == nullptr) return fail(errc::bad_pointer, name, 0, "must have a table of pages;", 0, view);
      if (used > entries)
        return fail(errc::bad_shape, name, static_cast<double>(entries),
                    "entries of the table of pages, of which the tokens take", static_cast<double>(used), view);
      return detail::check_ids(table, used, pool, name, view);
    }
    /// The same for rows [first(head), last(head)) that are to be written: no page twice, none that others have too.
    template <class First, class Last>
    [[nodiscard]] status check_writable(char const* name, int view, First const& first, Last const& last) const {
      if (status const s = detail::check_strides(pool, P, shape.extent(0), shape.extent(2), name, view); !s) return s;
      auto const twice = detail::find_repeated(
          pool.pages, [&](auto const& f) { detail::each_page(table, pages(shape.extent(1)), f); });
      if (status const s = detail::check_once(twice, name, view); !s) return s;
      for (index_type h = 0; h < shape.extent(0); ++h)
        if (first(h) < last(h))
          if (status const s = detail::check_own(table, first(h) / P, pages(last(h)), pool, name, view); !s) return s;
      return {};
    }
    /// Tiles of `tile` rows are not cut by the layout.
    [[nodiscard]] status check_tiles(char const* name, int view, index_type tile) const {
      return detail::check_page_tiles(pool, P, shape.extent(2), tile, name, view);
    }
    /// True when the first `rows` tokens share memory with the first `other_rows` of a view of the same pool whose data
    /// begin `delta` elements later.
    [[nodiscard]] bool meets(index_type rows, mapping const& other, index_type other_rows, index_type delta) const {
      if (other.pool.pages != pool.pages || !(other.pool.stride == pool.stride)) return true;
      index_type const heads = shape.extent(0) < other.shape.extent(0) ? other.shape.extent(0) : shape.extent(0);
      return detail::each_collision(pool.stride, P, heads, pool.pages, shape.extent(2), delta, [&](index k, bool) {
        return detail::any_page_apart(
            pool.pages, k, [&](auto const& f) { detail::each_page(table, pages(rows), f); },
            [&](auto const& f) { detail::each_page(other.table, pages(other_rows), f); });
      });
    }

    /// @cond as in the standard
    KVSIEVE_HD constexpr Extents const& extents() const noexcept { return shape; }
    KVSIEVE_HD constexpr index_type operator()(index_type head, index_type token, index_type channel) const noexcept {
      auto const t = static_cast<size_type>(token);
      return page_of(t / P) * pool.stride.page + head * pool.stride.head +
             static_cast<index_type>(t % P) * pool.stride.token + channel;
    }
    KVSIEVE_HD constexpr index_type required_span_size() const noexcept {
      if (pool.pages == 0 || shape.extent(0) == 0) return 0;
      return (pool.pages - 1) * pool.stride.page + (shape.extent(0) - 1) * pool.stride.head +
             (P - 1) * pool.stride.token + shape.extent(2);
    }
    KVSIEVE_HD static constexpr bool is_always_unique() noexcept { return false; }
    KVSIEVE_HD static constexpr bool is_always_exhaustive() noexcept { return false; }
    KVSIEVE_HD static constexpr bool is_always_strided() noexcept { return false; }
    KVSIEVE_HD constexpr bool is_unique() const noexcept { return false; }
    KVSIEVE_HD constexpr bool is_exhaustive() const noexcept { return false; }
    KVSIEVE_HD static constexpr bool is_strided() noexcept { return false; }
    KVSIEVE_HD friend constexpr bool operator==(mapping const& a, mapping const& b) noexcept {
      return a.shape == b.shape && a.table == b.table && a.pool.pages == b.pool.pages && a.pool.stride == b.pool.stride;
    }
    /// @endcond
  };
};

/// mdspan layout of heads with a table of pages and a number of tokens each: token t of head h is token t % P of page
/// list[first[h] + t / P]. Where pages hold one head each, pool.stride.head is 0; where they hold all heads, a head
/// reads its own part of the pages that it names (page skipping).
template <int P>
struct layout_ragged_paged {
  static_assert(P >= 16 && P <= 256 && P % 16 == 0, "kvsieve: pages have 16 to 256 tokens, a multiple of 16");
  static constexpr int page = P;                     ///< tokens of a page
  static constexpr bool contiguous_channels = true;  ///< channel c + 1 lies behind channel c

  /// Where an element lies, with all that the standard asks of a layout mapping.
  template <class Extents>
  struct mapping {
    /// @cond as in the standard
    using extents_type = Extents;
    using index_type = typename Extents::index_type;
    using size_type = typename Extents::size_type;
    using rank_type = typename Extents::rank_type;
    using layout_type = layout_ragged_paged;
    /// @endcond

    Extents shape{};              ///< [heads, tokens of the longest, channels]
    int const* list = nullptr;    ///< [first[heads]] pages, head after head
    int const* first = nullptr;   ///< [heads + 1] where those of a head begin, ascending
    int const* length = nullptr;  ///< [heads] tokens of a head
    page_pool_view pool{};        ///< what the pages are of

    /// Tokens of a head.
    KVSIEVE_HD constexpr index_type tokens(index_type head) const noexcept { return length[head]; }
    /// The page of an entry of a head's table. One that the pool does not have is read as page 0.
    KVSIEVE_HD constexpr index_type page_of(index_type head, size_type entry) const noexcept {
      return detail::page_within(list[static_cast<size_type>(first[head]) + entry], pool.pages);
    }
    /// Pages that `rows` tokens of a head take.
    [[nodiscard]] static constexpr index_type pages(index_type rows) noexcept { return (rows + P - 1) / P; }
    /// The pages of a head.
    KVSIEVE_HD constexpr int const* table(index_type head) const noexcept { return list + first[head]; }
    /// A power of two that divides it divides the way from any row of a head to any other.
    KVSIEVE_HD constexpr index_type row_step() const noexcept { return pool.stride.page | pool.stride.token; }
    /// From a token of a page to the next, in elements.
    KVSIEVE_HD constexpr index_type token_step() const noexcept { return pool.stride.token; }

    /// Tables that are there, long enough, of pages of the pool.
    [[nodiscard]] status check(char const* name, int view) const {
      auto const at = [](index_type x) { return static_cast<double>(x); };
      if (status const s = detail::check_pool(pool, name, view); !s) return s;
      if (first == nullptr || length == nullptr)
        return fail(errc::bad_pointer, name, 0, "must have offsets and lengths;", 0, view);
      if (first[0] < 0)
        return fail(errc::bad_shape, name, first[0], "is the first offset, which must be at least", 0, view);
      for (index_type h = 0; h < shape.extent(0); ++h) {
        if (first[h + 1] < first[h])
          return fail(errc::bad_shape, name, first[h + 1], "is an offset, which must be at least the one before,",
                      first[h], view);
        if (length[h] < 0 || length[h] > shape.extent(1))
          return fail(errc::bad_shape, name, length[h],
                      "are the tokens of a head, which must be at least 0 and at most those of the view,",
                      at(shape.extent(1)), view);
        if (pages(length[h]) > index_type{first[h + 1]} - first[h])
          return fail(errc::bad_shape, name, at(index_type{first[h + 1]} - first[h]),
                      "entries of a head's table of pages, of which its tokens take", at(pages(length[h])), view);
        if (length[h] > 0 && list == nullptr)
          return fail(errc::bad_pointer, name, 0, "must have a list of pages;", 0, view);
        if (length[h] > 0)
          if (status const s = detail::check_ids(table(h), pages(length[h]), pool, name, view); !s) return s;
      }
      return {};
    }
    /// The same for rows [begin(head), end(head)) that are to be written: no page twice, none that others have too.
    template <class Begin, class End>
    [[nodiscard]] status check_writable(char const* name, int view, Begin const& begin, End const& end) const {
      index_type const heads = shape.extent(0), apart = pool.stride.head == 0 ? 1 : heads;
      if (status const s = detail::check_strides(pool, P, apart, shape.extent(2), name, view); !s) return s;
      if (apart == 1) {  // heads have pages of their own
        auto const twice = detail::find_repeated(pool.pages, [&](auto const& f) { each_page(shape.extent(1), f); });
        if (status const s = detail::check_once(twice, name, view); !s) return s;
      }
      for (index_type h = 0; h < heads; ++h) {
        if (apart > 1) {
          auto const twice = detail::find_repeated(
              pool.pages, [&](auto const& f) { detail::each_page(table(h), pages(length[h]), f); });
          if (status const s = detail::check_once(twice, name, view); !s) return s;
        }
        if (begin(h) < end(h))
          if (status const s = detail::check_own(table(h), begin(h) / P, pages(end(h)), pool, name, view); !s) return s;
      }
      return {};
    }
    /// Tiles of `tile` rows are not cut by the layout.
    [[nodiscard]] status check_tiles(char const* name, int view, index_type tile) const {
      return detail::check_page_tiles(pool, P, shape.extent(2), tile, name, view);
    }
    /// True when pages of the first `rows` tokens of each head share memory with those of the first `other_rows` of a
    /// view of the same pool whose data begin `delta` elements later, whichever head's they are.
    [[nodiscard]] bool meets(index_type rows, mapping const& other, index_type other_rows, index_type delta) const {
      if (other.pool.pages != pool.pages || !(other.pool.stride == pool.stride)) return true;
      index_type const heads = shape.extent(0) < other.shape.extent(0) ? other.shape.extent(0) : shape.extent(0);
      return detail::each_collision(pool.stride, P, pool.stride.head == 0 ? 1 : heads, pool.pages, shape.extent(2),
                                    delta, [&](index k, bool) {
                                      return detail::any_page_apart(
                                          pool.pages, k, [&](auto const& f) { each_page(rows, f); },
                                          [&](auto const& f) { other.each_page(other_rows, f); });
                                    });
    }
    /// Calls f(page, entry) for the pages of the first `rows` tokens of all heads in turn, until it returns true.
    template <class F>
    void each_page(index_type rows, F const& f) const {
      for (index_type h = 0; h < shape.extent(0); ++h) {
        index_type const own = rows < length[h] ? rows : length[h];
        if (detail::each_page(table(h), pages(own), [&](index page, index i) { return f(page, first[h] + i); })) return;
      }
    }

    /// @cond as in the standard
    KVSIEVE_HD constexpr Extents const& extents() const noexcept { return shape; }
    KVSIEVE_HD constexpr index_type operator()(index_type head, index_type token, index_type channel) const noexcept {
      auto const t = static_cast<size_type>(token);
      return page_of(head, t / P) * pool.stride.page + head * pool.stride.head +
             static_cast<index_type>(t % P) * pool.stride.token + channel;
    }
    KVSIEVE_HD constexpr index_type required_span_size() const noexcept {
      if (pool.pages == 0 || shape.extent(0) == 0) return 0;
      return (pool.pages - 1) * pool.stride.page + (shape.extent(0) - 1) * pool.stride.head +
             (P - 1) * pool.stride.token + shape.extent(2);
    }
    KVSIEVE_HD static constexpr bool is_always_unique() noexcept { return false; }
    KVSIEVE_HD static constexpr bool is_always_exhaustive() noexcept { return false; }
    KVSIEVE_HD static constexpr bool is_always_strided() noexcept { return false; }
    KVSIEVE_HD constexpr bool is_unique() const noexcept { return false; }
    KVSIEVE_HD constexpr bool is_exhaustive() const noexcept { return false; }
    KVSIEVE_HD static constexpr bool is_strided() noexcept { return false; }
    KVSIEVE_HD friend constexpr bool operator==(mapping const& a, mapping const& b) noexcept {
      return a.shape == b.shape && a.list == b.list && a.first == b.first && a.length == b.length &&
             a.pool.pages == b.pool.pages && a.pool.stride == b.pool.stride;
    }
    /// @endcond
  };
};

/// True for views in pages, of one table or of one for each head.
template <row_view V>
inline constexpr bool paged_rows = requires { V::layout_type::page; };

/// Pages of one sequence.
struct page_table {
  int const* pages = nullptr;  ///< [entries] ids; stays the caller's
  index entries = 0;           ///< as many as the tokens take, or more
};
/// Pages of the heads of one sequence.
struct head_page_tables {
  int const* pages = nullptr;   ///< [first[heads]] ids, head after head; all stay the caller's
  int const* first = nullptr;   ///< [heads + 1]
  int const* length = nullptr;  ///< [heads] tokens
  index longest = -1;           ///< at least the largest of them; below 0: they are read, and must be host memory
};

namespace detail {
template <int P, int D>
[[nodiscard]] constexpr auto map_pages(page_pool_view const& pool, index heads, index tokens, page_table const& t) {
  return typename layout_paged<P>::template mapping<row_extents<D>>{row_extents<D>(heads, tokens), t.pages, t.entries,
                                                                    pool};
}
template <int P, int D>
[[nodiscard]] constexpr auto map_pages(page_pool_view const& pool, index heads, head_page_tables const& t) {
  index longest = t.longest < 0 ? 0 : t.longest;
  for (index h = 0; t.longest < 0 && t.length != nullptr && h < heads; ++h)
    longest = longest < t.length[h] ? t.length[h] : longest;
  return typename layout_ragged_paged<P>::template mapping<row_extents<D>>{row_extents<D>(heads, longest), t.pages,
                                                                           t.first, t.length, pool};
}
/// A pool whose strides are in rows.
[[nodiscard]] constexpr page_pool_view in_elements(page_pool_view pool, index D) {
  pool.stride = {pool.stride.page * D, pool.stride.head * D, pool.stride.token * D};
  return pool;
}
}  // namespace detail

/// Views pages of a pool as rows [heads, tokens, D]. `data` is where page 0 begins: of values behind the keys of each
/// row or page, that many elements later.
template <int P, int D, class T>
[[nodiscard]] constexpr rows<T, D, layout_paged<P>> make_paged(T* data, index heads, index tokens,
                                                               page_pool_view const& pool, page_table const& table) {
  return {data, detail::map_pages<P, D>(pool, heads, tokens, table)};
}
/// Views pages of a pool as heads with a table and a number of tokens each.
template <int P, int D, class T>
[[nodiscard]] constexpr rows<T, D, layout_ragged_paged<P>> make_ragged_paged(T* data, index heads,
                                                                             page_pool_view const& pool,
                                                                             head_page_tables const& tables) {
  return {data, detail::map_pages<P, D>(pool, heads, tables)};
}
/// Views pages of encoded rows; the pool's strides are in rows.
template <codec Codec, int P, int D, class Byte>
[[nodiscard]] constexpr encoded_rows<Codec, D, Byte, layout_paged<P>> make_encoded_paged(Byte* data, index heads,
                                                                                         index tokens,
                                                                                         page_pool_view const& pool,
                                                                                         page_table const& table) {
  static_assert(P % Codec::tile_tokens == 0, "kvsieve: pages hold whole tiles of the format");
  return {data, detail::map_pages<P, D>(detail::in_elements(pool, D), heads, tokens, table), encoded<Codec, D, Byte>{}};
}
/// Views pages of encoded rows as heads with a table and a number of tokens each; the pool's strides are in rows.
template <codec Codec, int P, int D, class Byte>
[[nodiscard]] constexpr encoded_rows<Codec, D, Byte, layout_ragged_paged<P>> make_encoded_ragged_paged(
    Byte* data, index heads, page_pool_view const& pool, head_page_tables const& tables) {
  static_assert(P % Codec::tile_tokens == 0, "kvsieve: pages hold whole tiles of the format");
  return {data, detail::map_pages<P, D>(detail::in_elements(pool, D), heads, tables), encoded<Codec, D, Byte>{}};
}

/// The first `tokens` tokens of a view in pages: what is left of it after compaction in place.
template <row_view V>
  requires(paged_rows<V> && !ragged_rows<V>)
[[nodiscard]] constexpr V first_tokens(V const& view, index tokens) {
  auto m = view.mapping();
  m.shape = typename V::extents_type(view.extent(0), tokens);
  return V(view.data_handle(), m, view.accessor());
}
}  // namespace kvsieve::inline v0
