// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Products of whole matrices of floats: a few outputs by a few inputs of the left one are packed at a time. Bound by
// multiply-adds.
#pragma once
#include <kvsieve/host/row/block_product.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Inputs whose products are added up in float before the caller gets them.
inline constexpr index product_inputs = 256;
/// Floats of the room in which the left matrix is packed.
inline constexpr index packed_floats = packed_outputs * product_inputs;

/// left [outputs, inputs] times right [inputs, columns], rows of `right` lying `right_stride` apart. add(o, j, x) takes
/// what up to product_inputs inputs give to entries (o, j) to (o, j + lanes), a fragment; called for j from first(o)
/// on. `columns` is a multiple of product_rows: what lies past a narrower matrix is padding, which is read.
/// @param packed  [packed_floats]
/// @param first   the first column that is wanted of 24 rows from `o` on, a multiple of product_rows
template <class First, class Add>
void multiply_blocks(product_table const& left, index outputs, float const* right, index right_stride, index columns,
                     index inputs, float* packed, First const& first, Add const& add) {
  for (index k = 0; k < inputs; k += product_inputs) {
    index const here = inputs - k < product_inputs ? inputs - k : product_inputs;
    for (index o = 0; o < outputs; o += packed_outputs) {
      index const rows = outputs - o < packed_outputs ? outputs - o : packed_outputs;
      product_table const table = pack(left, o, rows, k, here, packed);
      for (index j = first(o); j < columns; j += product_rows)
        block_product(
            table, rows, right + k * right_stride + j, here, right_stride, [](index, int) { return fragment(0.0f); },
            [&](index i, int c, fragment x) { add(o + i, j + c * fragment::lanes, x); });
    }
  }
}
/// The same of all columns.
template <class Add>
void multiply_blocks(product_table const& left, index outputs, float const* right, index right_stride, index columns,
                     index inputs, float* packed, Add const& add) {
  multiply_blocks(left, outputs, right, right_stride, columns, inputs, packed, [](index) { return index{0}; }, add);
}
/// to += sign * x, for as many doubles as a fragment has lanes.
KVSIEVE_INLINE void add_to(double* to, fragment x, double sign) {
  alignas(64) float part[fragment::lanes];
  store(part, x);
  for (int i = 0; i < fragment::lanes; ++i) to[i] += sign * static_cast<double>(part[i]);
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
