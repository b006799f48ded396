// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Where the rows of a block of tokens begin, one computed from another where they lie at one stride.
#pragma once
#include <kvsieve/core/encoded.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Tokens of a block at most: what is asked for ahead still finds room.
inline constexpr int block_rows = 64;
/// Tokens of a block of keys and of values. Where both are read as they lie, and nothing is opened for a block, 8 KiB
/// of them are few enough to stay in the first cache until they are read; memory then gives a tenth more.
template <row_view Keys, row_view Values>
inline constexpr int block_rows_of = [] {
  if (!contiguous_rows<Keys> || !contiguous_rows<Values>) return block_rows;
  int rows = 16;
  while (rows < block_rows && 2 * rows * (row_bytes<Keys>() + row_bytes<Values>()) <= 8192) rows *= 2;
  return rows;
}();

/// Where the row of a token of a head begins, or the head's last one; null where rows are read an element at a time.
template <row_view V>
[[nodiscard]] KVSIEVE_INLINE char const* place_of(V const& rows, index head, index token) {
  index const last = tokens_of(rows, head) - 1, at = token < last ? token : last;
  if constexpr (contiguous_rows<V>)
    return reinterpret_cast<char const*>(row_of(rows, head, at));
  else if constexpr (is_encoded<V>)
    return reinterpret_cast<char const*>(row_of(rows, head, at).tile) + at % codec_of<V>::tile_tokens * row_bytes<V>();
  else
    return nullptr;
}
/// Rows of a block that lie at one stride from a row at a multiple of them on: all of it, those of a page, or 0.
template <row_view V, int Rows>
inline constexpr int strided_rows = [] {
  if (!contiguous_rows<V> && !is_encoded<V>) return 0;
  if (strided_run<V> % Rows == 0) return Rows;
  return Rows % strided_run<V> == 0 ? strided_run<V> : 0;
}();
/// Where the rows of a block begin: one from another where they lie at one stride. What stands for rows behind the
/// head's last one may be asked for, but not read.
template <row_view V, int Rows = block_rows>
class block_places {
  static constexpr int run = strided_rows<V, Rows>;

 public:
  /// Of Rows rows from `first` on, a multiple of Rows.
  KVSIEVE_INLINE block_places(V const& rows, index head, index first) : rows_(&rows), head_(head), first_(first) {
    index const step = token_stride_of(rows);  // in elements
    step_ = is_encoded<V> ? step / head_dim_of<V> * row_bytes<V>() : step * index{sizeof(element_of<V>)};
    KVSIEVE_UNROLL for (int i = 0; i < runs; ++i) start_[i] = place_of(rows, head, first + i * run);
  }
  /// Row j.
  [[nodiscard]] KVSIEVE_INLINE char const* operator[](int j) const {
    if constexpr (run == Rows)
      return start_[0] + j * step_;
    else if constexpr (run > 0)
      return start_[static_cast<unsigned>(j) / run] + static_cast<index>(static_cast<unsigned>(j) % run) * step_;
    else
      return place_of(*rows_, head_, first_ + j);
  }

 private:
  static constexpr int runs = run > 0 ? Rows / run : 1;
  V const* rows_;
  index head_, first_, step_;  // bytes from a row to the next
  char const* start_[runs];
};
namespace detail {
/// Whether a row is known by where it begins.
template <row_view V, class Row>
inline constexpr bool has_bare_rows = [] {
  if constexpr (is_encoded<V>)
    return codec_of<V>::tile_tokens == 1 && !has_state<typename Row::format>;
  else
    return false;
}();
/// Row j of a block: what row_at(j) gives, row_of of a view or another of its kind.
template <row_view V, int Rows, class RowAt>
[[nodiscard]] KVSIEVE_INLINE auto row_at_place(block_places<V, Rows> const& places, int j, RowAt const& row_at) {
  using row = decltype(row_at(j));
  constexpr bool strided = strided_rows<V, Rows> > 0;
  if constexpr (strided && contiguous_rows<V>)
    return reinterpret_cast<row>(const_cast<char*>(places[j]));  // of a view that may be written
  else if constexpr (strided && has_bare_rows<V, row>)
    return row{reinterpret_cast<byte const*>(places[j]), 0, {}};
  else
    return row_at(j);
}
}  // namespace detail
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
