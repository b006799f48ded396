// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Rows that are needed soon are asked for, a line at a time between what is done: a burst would only wait.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/host/row/block_places.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Lines of the cache in a row.
template <row_view V>
inline constexpr int lines_of = static_cast<int>((row_bytes<V>() + 63) / 64);

/// Asks for `Count` lines of a row of a block of Rows that begins there, from line `from` on, as far as it has them.
template <row_view V, int Count, int Rows>
KVSIEVE_INLINE void ask(char const* row, int from) {
  constexpr int level = row_bytes<V>() * Rows <= 12288 ? 3 : 2;  // a small block finds room in the first cache
  if constexpr (contiguous_rows<V> || is_encoded<V>)
    KVSIEVE_UNROLL for (int i = 0; i < Count; ++i) if (from + i < lines_of<V>)
        __builtin_prefetch(row + (from + i) * 64, 0, level);
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
