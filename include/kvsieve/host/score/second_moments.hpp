// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// First and second moments of the rows of a head. The products are made in float, 64 rows at a time in registers, and
// added up in double: bound by N D^2 / 2 multiply-adds.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/row/row_panel.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
// Adds the products of columns [i0, i0 + I) and [j0, j0 + V * lanes) of a panel to `second` [D, D].
template <int D, int I, int V>
void add_products(float const* panel, int i0, int j0, double* second) {
  constexpr int lanes = fragment::lanes;
  fragment sum[I][V];
  KVSIEVE_UNROLL for (int i = 0; i < I; ++i) KVSIEVE_UNROLL for (int v = 0; v < V; ++v) sum[i][v] = fragment(0.0f);
  for (int t = 0; t < panel_rows; ++t) {
    float const* const row = panel + t * D;
    fragment x[V];
    KVSIEVE_UNROLL for (int v = 0; v < V; ++v) x[v] = pinned(load(row + j0 + v * lanes));
    KVSIEVE_UNROLL for (int i = 0; i < I; ++i) {
      fragment const y(row[i0 + i]);
      KVSIEVE_UNROLL for (int v = 0; v < V; ++v) sum[i][v] = fma(x[v], y, sum[i][v]);
    }
  }
  float tile[I * V * lanes];
  KVSIEVE_UNROLL for (int i = 0; i < I; ++i) KVSIEVE_UNROLL for (int v = 0; v < V; ++v)
      store(tile + (i * V + v) * lanes, sum[i][v]);
  for (int i = 0; i < I; ++i) {
    double* const out = second + (i0 + i) * D + j0;
    for (int j = 0; j < V * lanes; ++j) out[j] += static_cast<double>(tile[i * V * lanes + j]);
  }
}
}  // namespace detail

/// The mean [D] of the rows that are finite; their number. A mean of no rows is 0.
template <class Rows>
index mean_of_rows(Rows const& rows, float* panel, double* mean) {
  constexpr int D = Rows::head_dim;
  for (int d = 0; d < D; ++d) mean[d] = 0;
  index used = 0;
  rows.each_panel(panel, [&](index, int count, float const* x, unsigned long long bad) {
    used += count - __builtin_popcountll(bad);
    for (int j = 0; j < count; ++j)
      for (int d = 0; d < D; ++d) mean[d] += static_cast<double>(x[j * D + d]);
  });
  for (int d = 0; d < D && used > 0; ++d) mean[d] /= static_cast<double>(used);
  return used;
}

/// second [D, D] = the sum over the finite rows of w_t (x_t - centre) (x_t - centre)^T; w_t = weight(t), at least 0.
template <class Rows, class Weight>
void second_moments(Rows const& rows, float* panel, double const* centre, Weight const& weight, double* second) {
  constexpr int D = Rows::head_dim, lanes = fragment::lanes;
  constexpr int I = paired_sums, whole = D / I * I;
  constexpr int V = D % (2 * lanes) == 0 ? 2 : 1;
  float moved[D];
  for (int d = 0; d < D; ++d) moved[d] = static_cast<float>(centre[d]);
  for (int i = 0; i < D * D; ++i) second[i] = 0;
  rows.each_panel(panel, [&](index row, int count, float const*, unsigned long long bad) {
    for (int j = 0; j < count; ++j) {
      if ((bad >> j & 1u) != 0) continue;
      float* const x = panel + j * D;
      fragment const w(kvsieve::sqrt(static_cast<float>(weight(row + j))));
      for (int d = 0; d < D; d += lanes) store(x + d, (load(x + d) - load(moved + d)) * w);
    }
    auto const add = [&]<int Count>(int i0, cs::integral_constant<int, Count>) {
      for (int j0 = i0 / (V * lanes) * (V * lanes); j0 < D; j0 += V * lanes)
        detail::add_products<D, Count, V>(panel, i0, j0, second);
    };
    for (int i0 = 0; i0 < whole; i0 += I) add(i0, cs::integral_constant<int, I>{});
    if constexpr (whole < D) add(whole, cs::integral_constant<int, D - whole>{});
  });
  for (int i = 0; i < D; ++i)
    for (int j = 0; j < i; ++j) second[i * D + j] = second[j * D + i];
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
