// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A block's tile of products of two sides, 4 x 4 in the registers of each thread.
#pragma once
#include <kvsieve/device/tile/logits_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// A tile of products of two sides, each a slice of channels at a time in shared memory. `Across`: neighbouring threads
/// fetch what lies along the tile, not along the channels.
template <block Block, bool Across = false>
struct outer_tile {
  using shape = tile_shape<Block::threads>;
  static constexpr int channels = 16;  // of a slice

  alignas(16) float line[channels][shape::rows + 4];
  alignas(16) float column[channels][shape::tokens + 4];

  /// Adds `depth` channels of line_at(row, channel) * column_at(column, channel) to product[j][i] of row 4 line + j and
  /// column 4 rank + i of the tile. Both give 0 outside of what there is.
  template <class Line, class Column>
  KVSIEVE_HD void multiply_add(Block& b, int depth, Line const& line_at, Column const& column_at,
                               float (&product)[4][4]) {
    auto const tile = b.template tile<shape::columns>();
    for (int d = 0; d < depth; d += channels) {
      b.sync();  // the slice before this one is used up
      for (int i = b.rank(); i < shape::rows * channels; i += Block::threads) {
        int const c = Across ? i / shape::rows : i % channels, at = Across ? i % shape::rows : i / channels;
        line[c][at] = d + c < depth ? line_at(at, d + c) : 0.0f;
      }
      for (int i = b.rank(); i < shape::tokens * channels; i += Block::threads) {
        int const c = Across ? i / shape::tokens : i % channels, at = Across ? i % shape::tokens : i / channels;
        column[c][at] = d + c < depth ? column_at(at, d + c) : 0.0f;
      }
      b.sync();
      KVSIEVE_UNROLL for (int c = 0; c < channels; ++c) {
        fragment const x = load_row(static_cast<float const*>(line[c]), tile.index() * 4);
        fragment const y = load_row(static_cast<float const*>(column[c]), tile.rank() * 4);
        KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
          KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) product[j][i] += x.v[j] * y.v[i];
        }
      }
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
