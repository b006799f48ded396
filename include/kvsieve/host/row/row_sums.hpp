// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sums over the channels of a row, and of a block of rows at once.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Adds up term(c) over the D / lanes fragments of a row, in two chains.
template <int D, class Term>
KVSIEVE_INLINE fragment sum_terms(Term const& term) {
  constexpr int n = D / fragment::lanes;
  fragment x = term(0);
  if constexpr (n == 1) return x;
  fragment y = term(1);
  KVSIEVE_UNROLL for (int c = 2; c + 1 < n; c += 2) {
    x += term(c);
    y += term(c + 1);
  }
  if constexpr (n > 2 && n % 2 == 1) x += term(n - 1);
  return x + y;
}

/// Row sums of up to `lanes` rows at once, a row in each lane: lane j is the sum of term(row(first + j), c).
template <int D, class View, class Term>
KVSIEVE_INLINE fragment sum_row_block(View const& view, index head, index first, index rows, Term const& term) {
  fragment part[fragment::lanes];
  if (rows >= fragment::lanes) {
    KVSIEVE_UNROLL for (int j = 0; j < fragment::lanes; ++j) {
      auto const r = row_of(view, head, first + j);
      fragment k[fragments_of<D>];
      load_channels<D>(r, 0, k);
      part[j] = sum_terms<D>([&](int c) { return term(k[c], c); });
    }
  } else {
    for (int j = 0; j < fragment::lanes; ++j) part[j] = fragment(0.0f);
    for (int j = 0; j < rows; ++j) {
      auto const r = row_of(view, head, first + j);
      fragment k[fragments_of<D>];
      load_channels<D>(r, 0, k);
      part[j] = sum_terms<D>([&](int c) { return term(k[c], c); });
    }
  }
  return sum_rows(part);
}

}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
