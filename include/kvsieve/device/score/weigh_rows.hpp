// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of the weights that look at a value row at a time.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/tile/row_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Rows that one block weighs.
inline constexpr int weighed_rows = 512;

/// One view of a launch that weighs scores.
template <class Values>
struct weigh_part {
  Values values;  ///< [heads, tokens, D]
  float* score;   ///< [heads] rows of `stride`
  index stride;
  int scored;  ///< tokens that have scores
};

/// Block (segment, head, view): the scores of its tokens, weighed in place.
template <class Weigh, row_view Values>
struct weigh_rows_body {
  static constexpr int D = head_dim_of<Values>, width = row_lanes<D>;

  struct args {
    batch<weigh_part<Values>> views;
    typename Weigh::params params;
  };

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    auto const tile = b.template tile<width>();
    float* const score = view.score + w.y * view.stride;
    int const first = w.x * weighed_rows,
              last = view.scored - first < weighed_rows ? view.scored : first + weighed_rows;
    for (int t = first + tile.index(); t < last; t += Block::threads / width) {
      auto const value = row_slice<D>::load(row_of(view.values, w.y, t), tile.rank());
      fragment terms = splat(0.0f);
      KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) terms = terms + Weigh::term(value.part[i]);
      float const sum = tile.all_sum(device::sum(terms));
      if (tile.rank() == 0) score[t] = Weigh::apply(a.params, score[t], sum);
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
