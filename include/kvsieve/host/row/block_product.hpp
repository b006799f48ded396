// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Products of a table with a block of rows that lie turned in memory, a row in each lane: what a table of weights makes
// of many tokens at once. Bound by multiply-adds.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Rows of a block: two fragments.
inline constexpr int product_columns = 2;
inline constexpr int product_rows = product_columns * fragment::lanes;

/// Where a table's numbers lie: entry (output, input) at `data + output * output_stride + input * input_stride`.
struct product_table {
  float const* data = nullptr;
  index output_stride = 0, input_stride = 1;
};

namespace detail {
/// sum over the inputs of table(first + i, input) * turned[input], for Outputs outputs and both fragments.
template <int Outputs>
KVSIEVE_INLINE void product_tile(product_table const& table, index first, float const* turned, index inputs,
                                 index turned_stride, fragment (&sum)[Outputs][product_columns]) {
  constexpr int lanes = fragment::lanes;
  float const* const data = table.data + first * table.output_stride;
  for (index k = 0; k < inputs; ++k) {
    float const* const row = turned + k * turned_stride;
    fragment x[product_columns];
    KVSIEVE_UNROLL for (int c = 0; c < product_columns; ++c) x[c] = pinned(load(row + c * lanes));
    KVSIEVE_UNROLL for (int i = 0; i < Outputs; ++i) {
      fragment const w(data[i * table.output_stride + k * table.input_stride]);
      KVSIEVE_UNROLL for (int c = 0; c < product_columns; ++c) sum[i][c] = fma(w, x[c], sum[i][c]);
    }
  }
}
}  // namespace detail

/// For every output: start(output, c) gives the fragments that its sum begins with, and meet(output, c, sum) takes them
/// with the products over all inputs added. `turned` [inputs] holds product_rows floats each, `turned_stride` apart.
template <class Start, class Meet>
void block_product(product_table const& table, index outputs, float const* turned, index inputs, index turned_stride,
                   Start const& start, Meet const& meet) {
  constexpr int tile = paired_sums;
  index o = 0;
  auto const some = [&]<int Outputs>() {
    fragment sum[Outputs][product_columns];
    KVSIEVE_UNROLL for (int i = 0; i < Outputs; ++i) {
      KVSIEVE_UNROLL for (int c = 0; c < product_columns; ++c) sum[i][c] = start(o + i, c);
    }
    detail::product_tile<Outputs>(table, o, turned, inputs, turned_stride, sum);
    KVSIEVE_UNROLL for (int i = 0; i < Outputs; ++i) {
      KVSIEVE_UNROLL for (int c = 0; c < product_columns; ++c) meet(o + i, c, sum[i][c]);
    }
  };
  for (; o + tile <= outputs; o += tile) some.template operator()<tile>();
  for (; o < outputs; ++o) some.template operator()<1>();
}

/// Outputs of a table that are packed at a time: whole tiles of any width.
inline constexpr index packed_outputs = 24;

/// Copies entries of outputs [first, first + outputs) and inputs [from, from + inputs) so that those of an input lie
/// together: far rows would each cost a page. `to` holds outputs * inputs floats.
inline product_table pack(product_table const& table, index first, index outputs, index from, index inputs, float* to) {
  for (index i = 0; i < outputs; ++i) {
    float const* const row = table.data + (first + i) * table.output_stride + from * table.input_stride;
    for (index k = 0; k < inputs; ++k) to[k * outputs + i] = row[k * table.input_stride];
  }
  return {to, 1, outputs};
}

/// Turns channels [from, from + channels) of up to product_rows rows: turned[d] gets channel from + d of all of them,
/// rows that are not there being zeros. `row(i)` is a row as load_row takes it; `channels` is a multiple of the lanes.
template <class Row>
void turn_rows(Row const& row, index rows, index from, index channels, float* turned) {
  constexpr int lanes = fragment::lanes;
  for (int c = 0; c < product_columns; ++c)
    for (index d = 0; d < channels; d += lanes) {
      fragment part[lanes];
      for (int j = 0; j < lanes; ++j)
        part[j] = c * lanes + j < rows ? load_row(row(c * lanes + j), static_cast<int>(from + d)) : fragment(0.0f);
      transpose(part);
      for (int j = 0; j < lanes; ++j) store(turned + (d + j) * product_rows + c * lanes, part[j]);
    }
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
