// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The fragment of kernels; core/fragment.hpp has that of the host.
#pragma once
#include <kvsieve/core/config.hpp>
#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace device {
/// Four floats in registers: one 16-byte load of float, or half of one of a 16-bit type. +, -, *, fma(a, b, c), max and
/// min work lane by lane.
struct fragment {
  static constexpr int lanes = 4;  ///< floats in it
  float v[lanes];                  ///< the lanes
  /// One lane.
  KVSIEVE_HD float operator[](int lane) const { return v[lane]; }
  /// @cond lane by lane
#define KVSIEVE_EACH(expression)                                      \
  fragment r;                                                         \
  KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) r.v[i] = expression; \
  return r
  friend KVSIEVE_HD inline fragment operator-(fragment a) { KVSIEVE_EACH(-a.v[i]); }
  friend KVSIEVE_HD inline fragment operator+(fragment a, fragment b) { KVSIEVE_EACH(a.v[i] + b.v[i]); }
  friend KVSIEVE_HD inline fragment operator-(fragment a, fragment b) { KVSIEVE_EACH(a.v[i] - b.v[i]); }
  friend KVSIEVE_HD inline fragment max(fragment a, fragment b) { KVSIEVE_EACH(a.v[i] < b.v[i] ? b.v[i] : a.v[i]); }
  friend KVSIEVE_HD inline fragment min(fragment a, fragment b) { KVSIEVE_EACH(b.v[i] < a.v[i] ? b.v[i] : a.v[i]); }
  friend KVSIEVE_HD inline fragment operator*(fragment a, fragment b) { KVSIEVE_EACH(a.v[i] * b.v[i]); }
  friend KVSIEVE_HD inline fragment fma(fragment a, fragment b, fragment c) { KVSIEVE_EACH(a.v[i] * b.v[i] + c.v[i]); }
#undef KVSIEVE_EACH
  /// @endcond
};
/// Four elements as one load takes them.
template <class T>
struct alignas(4 * sizeof(T)) packed {
  T element[4];  ///< channels d to d + 3
};
/// Loads channels [d, d + 4) of a row: one vector load where the row is contiguous, else an element at a time.
template <class Row>
KVSIEVE_HD inline fragment load_row(Row const& row, int d) {
  fragment r;
  if constexpr (cs::is_pointer_v<Row>) {
    using T = cs::remove_cv_t<cs::remove_pointer_t<Row>>;
    packed<T> const p = *reinterpret_cast<packed<T> const*>(row + d);
    KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) r.v[i] = to_float(p.element[i]);
  } else {
    KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) r.v[i] = to_float(row[d + i]);
  }
  return r;
}
}  // namespace device
}  // namespace kvsieve::inline v0
