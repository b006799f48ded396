// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Sums over the channels of a row, or of two.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// The sum of the squares of a row; not finite where a channel is not.
template <row_view View>
[[nodiscard]] float square_of(View const& view, index head, index token) {
  auto const row = row_of(view, head, token);
  fragment s(0.0f);
  for (int d = 0; d < head_dim_of<View>; d += fragment::lanes) {
    fragment const x = load_row(row, d);
    s = fma(x, x, s);
  }
  return sum(s);
}
/// The squared distance of two rows of a head.
template <row_view View>
[[nodiscard]] float square_between(View const& view, index head, index a, index b) {
  auto const x = row_of(view, head, a), y = row_of(view, head, b);
  fragment s(0.0f);
  for (int d = 0; d < head_dim_of<View>; d += fragment::lanes) {
    fragment const difference = load_row(x, d) - load_row(y, d);
    s = fma(difference, difference, s);
  }
  return sum(s);
}
/// The cosine of two rows of a head, norms below 1e-6 counting as 1e-6; NaN where one is not finite.
template <row_view View>
[[nodiscard]] float cosine_between(View const& view, index head, index a, index b) {
  auto const x = row_of(view, head, a), y = row_of(view, head, b);
  fragment dot(0.0f), xx(0.0f), yy(0.0f);
  for (int d = 0; d < head_dim_of<View>; d += fragment::lanes) {
    fragment const p = load_row(x, d), q = load_row(y, d);
    dot = fma(p, q, dot);
    xx = fma(p, p, xx);
    yy = fma(q, q, yy);
  }
  float const first = ::sqrtf(sum(xx)), second = ::sqrtf(sum(yy));
  return sum(dot) / ((first < 1e-6f ? 1e-6f : first) * (second < 1e-6f ? 1e-6f : second));
}
/// sum[d] += factor * row[d].
template <row_view View>
void add_row(float* to, float factor, View const& view, index head, index token) {
  auto const row = row_of(view, head, token);
  for (int d = 0; d < head_dim_of<View>; d += fragment::lanes)
    store(to + d, fma(fragment(factor), load_row(row, d), load(to + d)));
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
