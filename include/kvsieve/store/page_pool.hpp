// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which pages of a pool are free, for those who have no allocator of their own.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/status.hpp>

namespace kvsieve::inline v0 {
namespace store {

/// Page ids 0 to pages() - 1 with a count of references each, in the caller's memory. Deterministic: always the lowest
/// free ids. Not for several threads at once. A refused call changes nothing.
class page_pool {
 public:
  /// Bytes of memory for a pool of so many pages, aligned to 64 bytes.
  [[nodiscard]] static std::size_t bytes(index pages) noexcept {
    arena counting;
    (void)carve(counting, pages);
    return counting.used();
  }

  page_pool() = default;
  /// Takes memory for `pages` pages, all of them free.
  /// @param pages   how many
  /// @param memory  at least bytes(pages) bytes, aligned to 64
  [[nodiscard]] status open(std::span<std::byte> memory, index pages) noexcept {
    if (pages < 1 || pages > 0x7fffffff)
      return fail(errc::bad_shape, "pages", static_cast<double>(pages),
                  pages < 1 ? "must be at least" : "must be at most", pages < 1 ? 1 : 0x7fffffff);
    if (status const s = check::workspace(memory, bytes(pages)); !s) return s;
    arena a(memory);
    tables_ = carve(a, pages);
    pages_ = free_ = pages;
    lowest_ = 0;
    for (index p = 0; p < pages; ++p) tables_.references[p] = 0;
    for (index w = 0; w < words(pages); ++w) tables_.free[w] = ~std::uint64_t{0};
    if (pages % 64 != 0) tables_.free[words(pages) - 1] = (std::uint64_t{1} << (pages % 64)) - 1;
    return {};
  }

  /// Pages of the pool.
  [[nodiscard]] index pages() const noexcept { return pages_; }
  /// Pages that nobody holds.
  [[nodiscard]] index free() const noexcept { return free_; }
  /// [pages()] how many hold each page: what page_pool_view::references is for.
  [[nodiscard]] int const* references() const noexcept { return tables_.references; }

  /// The lowest free ids, ascending, a reference each; or none of them where there are too few.
  [[nodiscard]] status allocate(std::span<int> out) noexcept {
    auto const wanted = static_cast<index>(out.size());
    if (wanted > free_)
      return fail(errc::out_of_pages, "pages", static_cast<double>(wanted), "must be at most the free ones,",
                  static_cast<double>(free_));
    index given = 0;
    for (index w = lowest_; given < wanted; ++w)
      for (lowest_ = w; tables_.free[w] != 0 && given < wanted; ++given) {
        auto const page = static_cast<int>(w * 64 + __builtin_ctzll(tables_.free[w]));
        tables_.free[w] &= tables_.free[w] - 1;
        tables_.references[page] = 1;
        out[static_cast<std::size_t>(given)] = page;
      }
    free_ -= wanted;
    return {};
  }
  /// One more reference of each page, for a table that shares them.
  [[nodiscard]] status share(std::span<int const> list) noexcept { return count(list, 1); }
  /// One reference less of each page; those that nobody holds any more are free.
  [[nodiscard]] status release(std::span<int const> list) noexcept { return count(list, -1); }

 private:
  struct tables {
    int* references = nullptr;
    std::uint64_t* free = nullptr;  // a bit for each page
  };
  [[nodiscard]] static index words(index pages) noexcept { return (pages + 63) / 64; }
  [[nodiscard]] static tables carve(arena& a, index pages) noexcept {
    int* const references = a.take<int>(static_cast<std::size_t>(pages));
    return {references, a.take<std::uint64_t>(static_cast<std::size_t>(words(pages)))};
  }

  /// Adds to the references of pages that are held; what was added is taken back where one is not.
  [[nodiscard]] status count(std::span<int const> list, int more) noexcept {
    for (std::size_t i = 0; i < list.size(); ++i) {
      int const page = list[i];
      bool const known = page >= 0 && page < pages_, held = known && tables_.references[page] > 0;
      if (held && tables_.references[page] < 0x7fffffff) {
        tables_.references[page] += more;
        continue;
      }
      for (std::size_t j = i; j-- > 0;) tables_.references[list[j]] -= more;
      if (!known)
        return fail(errc::bad_params, "page", page, "must be at least 0 and less than the pages of the pool,",
                    static_cast<double>(pages_));
      return fail(errc::bad_params, "page", page,
                  more > 0 ? "must be held, by fewer than 2^31 - 1, to be shared; its references are"
                           : "must be released at most as often as it is referred to,",
                  tables_.references[page]);
    }
    for (int const page : list) {
      if (tables_.references[page] != 0) continue;
      std::uint64_t const bit = std::uint64_t{1} << (page % 64);
      if ((tables_.free[page / 64] & bit) != 0) continue;
      tables_.free[page / 64] |= bit;
      ++free_;
      if (page / 64 < lowest_) lowest_ = page / 64;
    }
    return {};
  }

  tables tables_{};
  index pages_ = 0, free_ = 0, lowest_ = 0;  // no page is free in words before the lowest
};
}  // namespace store
}  // namespace kvsieve::inline v0
