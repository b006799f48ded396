// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A quadratic form of every row of a head. Bound by N D m multiply-adds for a matrix of m rows.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/row/row_panel.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// What the form of a row x is, y being W x + offset.
enum class form : unsigned char {
  squares,  ///< the sum of the squares of y
  bilinear  ///< <x, y>; W is square
};

/// A matrix W [m, D] as floats in strips of up to two fragments of its rows: a strip is [D, rows of the strip].
struct packed_matrix {
  float* strips;  ///< [D * padded]
  float* offset;  ///< [padded]
  int rows = 0, padded = 0;

  static constexpr int strip_rows = 2 * fragment::lanes;
  /// Floats of `strips` and `offset` together.
  [[nodiscard]] static constexpr index floats(int rows, int channels) {
    return index{round_up(rows, 16)} * (channels + 1);
  }
  /// Packs w [rows, channels]; `memory` has floats(rows, channels), `add` [rows] or null.
  static packed_matrix pack(double const* w, double const* add, int rows, int channels, float* memory) {
    packed_matrix p{memory, memory + index{round_up(rows, 16)} * channels, rows, round_up(rows, fragment::lanes)};
    for (int r = 0; r < p.padded; ++r) {
      int const first = r / strip_rows * strip_rows, width = p.strip(first);
      float* const to = p.strips + index{first} * channels + (r - first);
      for (int d = 0; d < channels; ++d)
        to[d * width] = r < rows ? static_cast<float>(w[index{r} * channels + d]) : 0.0f;
      p.offset[r] = add != nullptr && r < rows ? static_cast<float>(add[r]) : 0.0f;
    }
    return p;
  }
  [[nodiscard]] int strip(int first) const { return padded - first < strip_rows ? padded - first : strip_rows; }
};

namespace detail {
// Adds what V fragments of rows of W give for J rows of a panel to sum[J].
template <int D, int J, int V, form Form>
KVSIEVE_INLINE void add_form(float const* panel, float const* strip, float const* offset, int first, fragment* sum) {
  constexpr int lanes = fragment::lanes;
  fragment y[J][V];
  KVSIEVE_UNROLL for (int j = 0; j < J; ++j) KVSIEVE_UNROLL for (int v = 0; v < V; ++v) y[j][v] =
      load(offset + v * lanes);
  for (int d = 0; d < D; ++d) {
    fragment w[V];
    KVSIEVE_UNROLL for (int v = 0; v < V; ++v) w[v] = pinned(load(strip + (d * V + v) * lanes));
    KVSIEVE_UNROLL for (int j = 0; j < J; ++j) {
      fragment const x(panel[j * D + d]);
      KVSIEVE_UNROLL for (int v = 0; v < V; ++v) y[j][v] = fma(w[v], x, y[j][v]);
    }
  }
  KVSIEVE_UNROLL for (int j = 0; j < J; ++j) KVSIEVE_UNROLL for (int v = 0; v < V; ++v) sum[j] =
      fma(y[j][v], Form == form::squares ? y[j][v] : load(panel + j * D + first + v * lanes), sum[j]);
}
}  // namespace detail

/// out[t] = the form of row t - centre for every row of `rows`; NaN for rows that are not finite.
template <form Form, class Rows>
void quadratic_form(Rows const& rows, float* panel, double const* centre, packed_matrix const& w, float* out) {
  constexpr int D = Rows::head_dim, lanes = fragment::lanes;
  constexpr int J = paired_sums, rest = panel_rows % J;
  float moved[D];
  for (int d = 0; d < D; ++d) moved[d] = static_cast<float>(centre[d]);
  rows.each_panel(panel, [&](index row, int count, float const*, unsigned long long bad) {
    for (int j = 0; j < count; ++j)
      for (int d = 0; d < D; d += lanes) store(panel + j * D + d, load(panel + j * D + d) - load(moved + d));
    fragment sum[panel_rows];
    for (int j = 0; j < panel_rows; ++j) sum[j] = fragment(0.0f);
    for (int first = 0; first < w.padded; first += packed_matrix::strip_rows) {
      float const* const strip = w.strips + index{first} * D;
      auto const add = [&]<int Count>(int j, cs::integral_constant<int, Count>) {
        if (w.strip(first) == packed_matrix::strip_rows)
          detail::add_form<D, Count, 2, Form>(panel + j * D, strip, w.offset + first, first, sum + j);
        else
          detail::add_form<D, Count, 1, Form>(panel + j * D, strip, w.offset + first, first, sum + j);
      };
      int j = 0;
      for (; j < count && j + J <= panel_rows; j += J) add(j, cs::integral_constant<int, J>{});
      if constexpr (rest > 0)
        if (j < count) add(j, cs::integral_constant<int, rest>{});
    }
    for (int j = 0; j < count; j += lanes) {
      fragment part[lanes];
      KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) part[i] = sum[j + i];
      fragment const total = sum_rows(part);
      for (int i = 0; i < lanes && j + i < count; ++i)
        out[row + j + i] = (bad >> (j + i) & 1u) != 0 ? __builtin_nanf("") : total[i];
    }
  });
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
