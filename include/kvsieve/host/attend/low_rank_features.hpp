// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Features of rows for evict::low_rank_state. A few rows share what is read of the tables; sums go unit by unit, so the
// width of a vector does not matter to the result.
#pragma once
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/gelu.hpp>
#include <kvsieve/core/low_rank.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// y[r] = gelu(gelu(x[r] W1) W2) [rank] of R rows x [D]; W1 [D, units], W2 [units, rank].
template <int D, int R>
void features(float const* const (&x)[R], float const* in, float const* out, int units, int rank,
              float (&y)[R][low_rank::most_rank]) {
  constexpr int step = low_rank::unit_step, n = step / fragment::lanes;
  static_assert(step % fragment::lanes == 0);
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < low_rank::most_rank; ++c) y[r][c] = 0.0f;
  for (int u = 0; u < units; u += step) {
    fragment sums[R][n];
    KVSIEVE_UNROLL for (int r = 0; r < R; ++r) KVSIEVE_UNROLL for (int i = 0; i < n; ++i) sums[r][i] = fragment(0.0f);
    for (int d = 0; d < D; ++d) {
      fragment w[n];
      KVSIEVE_UNROLL for (int i = 0; i < n; ++i) w[i] = pinned(load(in + index{d} * units + u + i * fragment::lanes));
      KVSIEVE_UNROLL for (int r = 0; r < R; ++r) {
        fragment const channel(x[r][d]);
        KVSIEVE_UNROLL for (int i = 0; i < n; ++i) sums[r][i] = fma(w[i], channel, sums[r][i]);
      }
    }
    for (int r = 0; r < R; ++r) {
      alignas(64) float unit[step];
      for (int i = 0; i < n; ++i) store(unit + i * fragment::lanes, gelu(sums[r][i]));
      for (int j = 0; j < step; ++j)
        for (int c = 0; c < rank; ++c) y[r][c] += unit[j] * out[index{u + j} * rank + c];
    }
  }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < rank; c += fragment::lanes) store(y[r] + c, gelu(load(y[r] + c)));
}

/// phi of one query row [D].
template <int D>
void query_features(low_rank_queries const& p, float const* query, int view, int heads, int head,
                    float (&phi)[low_rank::most_rank]) {
  float const* const x[1] = {query};
  cs::int64_t const in = cs::int64_t{D} * p.units, out = cs::int64_t{p.units} * p.rank;
  float y[1][low_rank::most_rank];
  features<D>(x, tables::of_view(p.in, heads * in, p.layer, view) + head * in,
              tables::of_view(p.out, heads * out, p.layer, view) + head * out, p.units, p.rank, y);
  for (int c = 0; c < p.rank; ++c) phi[c] = y[0][c] < 0 ? -y[0][c] : y[0][c];
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
