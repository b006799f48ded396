// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows that are needed soon are asked for, a line at a time between what is done: a burst would only wait.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/host/row/row_block.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Lines of the cache in a row.
template <row_view V>
inline constexpr int lines_of = static_cast<int>((row_bytes<V>() + 63) / 64);

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
/// Asks for lines [from, to) of a row that begins there, as far as it has them.
template <row_view V>
KVSIEVE_INLINE void ask(char const* row, int from, int to) {
  constexpr int level = row_bytes<V>() * block_rows <= 12288 ? 3 : 2;  // a small block finds room in the first cache
  if constexpr (contiguous_rows<V> || is_encoded<V>)
    KVSIEVE_UNROLL for (int i = from; i < to; ++i) if (i < lines_of<V>) __builtin_prefetch(row + i * 64, 0, level);
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
