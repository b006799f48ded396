// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body that adds up what the blocks of a fold measured of a view, in the order of its tokens.
#pragma once
#include <kvsieve/device/block.hpp>
#include <kvsieve/device/tile/sum_of_all.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of which the parts of what was measured are added up.
struct statistics_part {
  double const* measured;  ///< [parts, statistics]
  double* statistic;       ///< [statistics]
  int parts;
};
template <int Statistics>
struct statistics_args {
  batch<statistics_part> views;
};

/// Block (0, 0, view): adds them up.
template <int Statistics>
struct add_statistics_body {
  template <block Block>
  struct shared {
    double strand[strands];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, statistics_args<Statistics> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    for (int k = 0; k < Statistics; ++k) {
      double const sum = sum_of_strands(
          b, view.parts, [&](double part, int i) { return part + view.measured[index{i} * Statistics + k]; }, s.strand);
      if (b.rank() == 0) view.statistic[k] = sum;
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
