// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ascending lists of token indices as bytes: differences or a bitmap, whichever is shorter, or "as the head before".
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <kvsieve/core/status.hpp>
#include <kvsieve/io/bytes.hpp>

namespace kvsieve::inline v0 {
namespace io {

/// How the list of a head is written; the byte in front of it.
enum class list_form : byte {
  as_before,    ///< the list of the head before; nothing follows
  differences,  ///< of each index to the one before, less 1 (the first: the index), 7 bits a byte, low ones first
  bitmap        ///< a bit a token, the first in the lowest bit; whole bytes, the last one filled up with zeros
};

namespace detail {
/// Bytes of a number at 7 bits each.
[[nodiscard]] constexpr std::uint64_t varint_bytes(std::uint32_t x) noexcept {
  std::uint64_t n = 1;
  for (; x >= 128; x >>= 7) ++n;
  return n;
}
/// Calls put(byte const*, count) with a number at 7 bits a byte.
template <class Put>
constexpr void put_varint(std::uint32_t x, Put& put) {
  byte text[5] = {};
  std::size_t n = 0;
  for (; x >= 128; x >>= 7) text[n++] = static_cast<byte>(x | 128u);
  text[n++] = static_cast<byte>(x);
  put(text, n);
}
}  // namespace detail

/// Which of the two forms is shorter for an ascending list of indices below `tokens`.
[[nodiscard]] constexpr list_form shorter_form(std::span<int const> list, std::uint64_t tokens) noexcept {
  std::uint64_t bytes = 0;
  int before = -1;
  for (int const t : list) {
    bytes += detail::varint_bytes(static_cast<std::uint32_t>(t - before - 1));
    before = t;
  }
  return bytes <= (tokens + 7) / 8 ? list_form::differences : list_form::bitmap;
}

/// Writes the list of one head through put(byte const*, count).
/// @param list    ascending indices in [0, tokens)
/// @param before  the list of the head before, null for the first
template <class Put>
constexpr void put_list(std::span<int const> list, std::span<int const> const* before, std::uint64_t tokens, Put& put) {
  bool const same = before != nullptr && std::ranges::equal(list, *before);
  list_form const form = same ? list_form::as_before : shorter_form(list, tokens);
  byte const mark = static_cast<byte>(form);
  put(&mark, 1);
  if (form == list_form::differences) {
    int last = -1;
    for (int const t : list) {
      detail::put_varint(static_cast<std::uint32_t>(t - last - 1), put);
      last = t;
    }
  } else if (form == list_form::bitmap) {
    std::size_t next = 0;
    for (std::uint64_t first = 0; first < tokens; first += 8) {
      byte bits = 0;
      for (; next < list.size() && static_cast<std::uint64_t>(list[next]) < first + 8; ++next)
        bits = static_cast<byte>(bits | 1u << (static_cast<std::uint64_t>(list[next]) - first));
      put(&bits, 1);
    }
  }
}

namespace detail {
[[nodiscard]] constexpr status bad_list(double got, char const* rule, double expected) noexcept {
  return fail(errc::bad_file, "positions", got, rule, expected);
}
/// Reads differences of `count` indices. Moves `at` behind them and calls use(index) for each.
template <class Use>
[[nodiscard]] constexpr status differences(std::span<byte const> bytes, std::size_t& at, std::uint64_t count,
                                           std::uint64_t tokens, Use const& use) {
  std::uint64_t next = 0;  // the least index that may follow
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t difference = 0;
    for (int shift = 0;; shift += 7) {
      if (at == bytes.size())
        return bad_list(static_cast<double>(at), "bytes; a list ends after more than", static_cast<double>(at));
      byte const b = bytes[at++];
      difference |= std::uint64_t{b & 127u} << shift;
      if (b < 128) break;
      if (shift == 28) return bad_list(shift + 14, "bits of a difference; there may be at most", 35);
    }
    if (next + difference >= tokens)
      return bad_list(static_cast<double>(next + difference), "is a token index, which must be less than",
                      static_cast<double>(tokens));
    next += difference + 1;
    use(static_cast<int>(next - 1));
  }
  return {};
}
/// Reads a bitmap with `count` ones.
template <class Use>
[[nodiscard]] constexpr status bitmap(std::span<byte const> bytes, std::size_t& at, std::uint64_t count,
                                      std::uint64_t tokens, Use const& use) {
  std::uint64_t const size = (tokens + 7) / 8;
  if (size > bytes.size() - at)
    return bad_list(static_cast<double>(bytes.size() - at), "bytes for a bitmap, which needs",
                    static_cast<double>(size));
  std::uint64_t ones = 0;
  for (std::uint64_t i = 0; i < size; ++i) ones += static_cast<unsigned>(std::popcount(bytes[at + i]));
  if (ones != count)
    return bad_list(static_cast<double>(ones), "ones in a bitmap; the rows of the head are",
                    static_cast<double>(count));
  if (tokens % 8 != 0 && bytes[at + size - 1] >> (tokens % 8) != 0)
    return bad_list(bytes[at + size - 1], "is the last byte of a bitmap, which must be less than",
                    static_cast<double>(1u << (tokens % 8)));
  // So that heads which repeat a list take no longer than their rows are many.
  if (size > 5 * count)
    return bad_list(static_cast<double>(size), "bytes of a bitmap; as differences its rows take at most",
                    static_cast<double>(5 * count));
  for (std::uint64_t i = 0; i < size; ++i)
    for (unsigned bits = bytes[at + i]; bits != 0; bits &= bits - 1)
      use(static_cast<int>(8 * i + static_cast<unsigned>(std::countr_zero(bits))));
  at += size;
  return {};
}
}  // namespace detail

/// Reads the lists of all heads and checks them on the way: ascending, below `tokens`, of the right length, and no byte
/// left over. Calls use(head, index) for each index that the bytes hold.
/// @param rows    rows(head) gives the length of a head's list
/// @param repeat  whether lists that are "as the head before" are gone through as well
template <class Rows, class Use>
[[nodiscard]] constexpr status read_lists(std::span<byte const> bytes, std::uint64_t heads, std::uint64_t tokens,
                                          Rows const& rows, bool repeat, Use const& use) {
  std::size_t at = 0, written = 0;  // `written`: where the list that may be repeated begins, behind its mark
  list_form form = list_form::as_before;
  for (std::uint64_t h = 0; h < heads; ++h) {
    if (at == bytes.size())
      return detail::bad_list(static_cast<double>(at), "bytes; they end before the list of head",
                              static_cast<double>(h));
    byte const mark = bytes[at++];
    if (mark > static_cast<byte>(list_form::bitmap) || (mark == 0 && h == 0))
      return detail::bad_list(mark, "is the form of a list, which must be at most 2, and of the first head at least",
                              1);
    std::size_t again = written;
    bool const same = mark == static_cast<byte>(list_form::as_before);
    if (same && rows(h) != rows(h - 1))
      return detail::bad_list(static_cast<double>(rows(h)), "rows with the list of the head before, which has",
                              static_cast<double>(rows(h - 1)));
    if (same && !repeat) continue;
    if (!same) {
      form = static_cast<list_form>(mark);
      written = at;
    }
    std::size_t& from = same ? again : at;
    auto const one = [&](int index) { use(h, index); };
    status const s = form == list_form::bitmap ? detail::bitmap(bytes, from, rows(h), tokens, one)
                                               : detail::differences(bytes, from, rows(h), tokens, one);
    if (!s) return s;
  }
  if (at != bytes.size())
    return detail::bad_list(static_cast<double>(bytes.size()), "bytes, of which the lists take",
                            static_cast<double>(at));
  return {};
}
}  // namespace io
}  // namespace kvsieve::inline v0
