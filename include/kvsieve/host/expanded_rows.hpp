// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Some rows of a format as floats, made once for all that is multiplied with them: where a format's codes are dear one
// fragment at a time and cheap 32 at once.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Tokens that are expanded at once: at least as many as sums that are transposed together.
inline constexpr int expanded_rows = fragment::lanes < 8 ? 8 : fragment::lanes;
/// Whether the rows of a view are worth it.
template <row_view V>
inline constexpr bool expands = [] {
  if constexpr (is_encoded<V>)
    return requires(decltype(held_row_of(cs::declval<V const&>(), 0, 0)) row, float* to) {
      row.template expand<fragment>(0, to);
    };
  else
    return false;
}();

/// Rows [first, first + expanded_rows) of a head as floats [expanded_rows, D]; behind those before `end` the last one
/// stands.
template <int D, row_view V>
KVSIEVE_INLINE void expand_rows(V const& view, index head, index first, index end, float* to) {
  for (int t = 0; t < expanded_rows; ++t) {
    auto const row = held_row_of(view, head, first + t < end ? first + t : end - 1);
    KVSIEVE_UNROLL for (int c = 0; c < D; c += 32) row.template expand<fragment>(c, to + t * D + c);
  }
}
/// A pointer of which the compiler knows nothing: it would load what does not change in a loop before it, and spill it.
KVSIEVE_INLINE float const* unknown(float const* p) {
#if KVSIEVE_HOST_VECTORS
  asm("" : "+r"(p));
#endif
  return p;
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
