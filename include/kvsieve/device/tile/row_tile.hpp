// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How a tile of threads holds a row of D channels: each lane some fragments, neighbours next to each other.
#pragma once
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>
#include <kvsieve/device/tile/fragment.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Lanes that share a row of D channels: 8, or fewer where D/4 is no multiple of that. Narrow tiles spend fewer
/// exchanges a row, and eight lanes still read 128 bytes of float in one go.
template <int D>
inline constexpr int row_lanes = D % 32 == 0   ? 8
                                 : D % 16 == 0 ? 4
                                               : 2;
/// Lanes where a body holds several rows at once and registers are short.
template <int D>
inline constexpr int wide_row_lanes = D % 128 == 0  ? 32
                                      : D % 64 == 0 ? 16
                                                    : row_lanes<D>;

/// The part of a row that one of `Width` lanes holds.
template <int D, int Width = row_lanes<D>>
struct row_slice {
  static_assert(D % 8 == 0 && D <= 512, "kvsieve::device: the head dimension is a multiple of 8, at most 512");
  static constexpr int width = Width, count = D / (fragment::lanes * width);
  fragment part[count];

  /// Channel at which fragment i of a lane starts.
  KVSIEVE_HD static constexpr int channel(int lane, int i) { return (i * width + lane) * fragment::lanes; }
  template <class Row>
  KVSIEVE_HD static row_slice load(Row const& row, int lane) {
    row_slice s;
    KVSIEVE_UNROLL for (int i = 0; i < count; ++i) s.part[i] = load_row(row, channel(lane, i));
    return s;
  }
};

/// All four lanes hold x.
[[nodiscard]] KVSIEVE_HD inline fragment splat(float x) { return {{x, x, x, x}}; }
/// Sum of the four lanes, pairwise.
[[nodiscard]] KVSIEVE_HD inline float sum(fragment const& x) { return (x.v[0] + x.v[1]) + (x.v[2] + x.v[3]); }
}  // namespace device
}  // namespace kvsieve::inline v0
