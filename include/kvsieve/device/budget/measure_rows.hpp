// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of budgets that follow from a number of each head, or from numbers of whole views: the counts are the
// host's on the same scores and numbers, since sums have one order everywhere.
#pragma once
#include <kvsieve/core/counts.hpp>
#include <kvsieve/device/block.hpp>
#include <kvsieve/device/budget/count_mass.hpp>
#include <kvsieve/device/call/view_layout.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The scores of a head, as a budget measures them; all threads of a block have one, and get the same numbers.
template <block Block>
struct measured_row {
  /// Shared memory.
  struct storage {
    double strand[strands];
    row_mass::shared<Block> mass;
  };
  Block& b;
  storage& s;
  float const* score;
  int scored;  ///< tokens that have scores

  [[nodiscard]] KVSIEVE_HD float operator[](int t) const { return score[t]; }
  /// The sum of n terms; add(sum, i) gives `sum` with term i added.
  template <class Add>
  [[nodiscard]] KVSIEVE_HD double sum(int n, Add const& add) const {
    return sum_of_strands(b, n, add, s.strand);
  }
  /// How many of the largest scores make up `share` of the sum of the positive ones, at least 1.
  [[nodiscard]] KVSIEVE_HD index mass(double share) const { return row_mass::count(b, score, scored, share, s.mass); }
};

/// One view of a launch that measures.
struct measure_part {
  float const* score;  ///< [heads] rows of `stride`
  double* number;      ///< [heads]
  index stride;
  int scored;
};
template <class Budget>
struct measure_args {
  batch<measure_part> views;
  typename Budget::params budget;
};

/// Block (0, head, view): the number of its head.
template <measures_rows Budget>
struct measure_rows_body {
  template <block Block>
  struct shared {
    typename measured_row<Block>::storage row;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, measure_args<Budget> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    measured_row<Block> const row{b, s.row, view.score + w.y * view.stride, view.scored};
    double const number = Budget::measure(a.budget, row);
    if (b.rank() == 0) view.number[w.y] = number;
  }
};

/// One sequence of which the tokens are split.
struct split_part {
  view_layout const* layout;    ///< [views]
  counts::sequence_view* view;  ///< [views], scratch
  double* number;               ///< [views, heads], or of whole views; scratch
  double const* statistic;      ///< [views, 2], of a budget that reads them
  index* share;                 ///< [views], scratch
  int* count;                   ///< [views, heads]
  int views, heads;
};
template <class Budget>
struct split_args {
  batch<split_part> views;
  typename Budget::params budget;
  int const* white_list;
  int white_count;
  int layers;  ///< of a sequence
};

/// Block (0, 0, sequence): forced tokens of its views, then one thread, a few numbers for each view.
template <measures_rows Budget>
struct split_measured_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, split_args<Budget> const& a, work w, shared<Block>&) {
    auto const& part = a.views.part[w.z];
    for (int i = b.rank(); i < part.views; i += Block::threads) {
      view_layout const& of = part.layout[i];
      part.view[i] = {of.tokens, of.forced(a.white_list, a.white_count), of.whole};
    }
    b.sync();
    if (b.rank() == 0)
      Budget::split(a.budget, {part.view, part.views, part.heads, part.number, part.share, part.count});
  }
};

/// Block (0, 0, sequence): a thread for each view, first its preference, then its count.
template <reads_statistics Budget>
struct split_statistics_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, split_args<Budget> const& a, work w, shared<Block>&) {
    auto const& part = a.views.part[w.z];
    for (int i = b.rank(); i < part.views; i += Block::threads)
      part.number[i] = Budget::of_layer(a.budget, part.statistic[i * 2], part.statistic[i * 2 + 1]);
    b.sync();
    for (int i = b.rank(); i < part.views; i += Block::threads) {
      view_layout const& of = part.layout[i];
      int const kept = Budget::kept(a.budget, part.number, part.views, a.layers, i, of.tokens,
                                    of.forced(a.white_list, a.white_count));
      for (int h = 0; h < part.heads; ++h) part.count[i * part.heads + h] = kept;
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
