// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Mean squares of each channel over the rows of a head. A lane holds a channel, so sums are the same for any width.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Adds the squares of rows [first, last) of a head to `sums` [D]. Runs of 256 rows are summed in float, the runs in
/// double.
template <row_view View>
void add_squares(View const& view, index head, index first, index last, double* sums) {
  constexpr int D = head_dim_of<View>, lanes = fragment::lanes, n = D / lanes;
  for (index run = first; run < last; run += 256) {
    index const end = run + 256 < last ? run + 256 : last;
    fragment square[n];
    for (int c = 0; c < n; ++c) square[c] = fragment(0.0f);
    for (index t = run; t < end; ++t) {
      auto const row = row_of(view, head, t);
      for (int c = 0; c < n; ++c) {
        fragment const x = load_row(row, c * lanes);
        square[c] = fma(x, x, square[c]);
      }
    }
    for (int c = 0; c < n; ++c)
      for (int i = 0; i < lanes; ++i) sums[c * lanes + i] += static_cast<double>(square[c][i]);
  }
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
