// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of protect::mass: how many tokens of each head hold its attention, without a sort, and which these are.
// Sums are in double and of a fixed order, or of whole numbers.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/budget/count_mass.hpp>
#include <kvsieve/device/call/scores_part.hpp>
#include <kvsieve/device/select/select.hpp>
#include <kvsieve/device/tile/sum_of_all.hpp>
#include <kvsieve/protect/mass.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// What holds of a whole view.
struct mass_bound {
  double share;   ///< that protected tokens stay below
  float largest;  ///< of its scores
};
/// One view of a launch.
struct mass_part {
  float* score;            ///< [heads] rows of `stride`, from the first token that has a score
  float const* attention;  ///< the same
  int* list;               ///< the same
  mass_bound* bound;       ///< of this view
  index stride;
  int heads, count, tail, most;  ///< tokens that have scores, the scorer's own behind them, and most that are protected
};
struct mass_args {
  batch<mass_part> views;
  protect::mass::params params;
};

/// Block (0, 0, view): what protected tokens of its heads stay below, and the largest score.
struct bound_mass_body {
  template <block Block>
  struct shared {
    double part[Block::threads];
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, mass_args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    double outside = 0;
    float largest = -__builtin_inff();
    for (int h = 0; h < view.heads; ++h) {
      float const* const score = view.score + h * view.stride;
      float const* const attention = view.attention + h * view.stride;
      double sum = 0;
      for (index t = b.rank(); t < view.count; t += Block::threads) {
        bool const counts = finite(attention[t]) && (!a.params.as_source || t + view.tail >= view.count);
        sum += counts ? static_cast<double>(attention[t]) : 0.0;
        if (finite(score[t]) && largest < score[t]) largest = score[t];
      }
      sum = sum_of_all(b, sum, s.part);
      outside += (a.params.as_source ? sum : 1 - sum) / static_cast<double>(view.heads);
    }
    largest = b.all_max(largest, s.reduce);
    if (b.rank() == 0) *view.bound = {a.params.share - outside, largest};
  }
};

/// Block (0, head, view): raises the protected tokens of its head.
struct raise_mass_body {
  template <block Block>
  struct shared {
    row_mass::shared<Block> mass;
    row_pick::shared<Block> pick;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, mass_args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float* const score = view.score + w.y * view.stride;
    float const* const attention = view.attention + w.y * view.stride;
    int* const list = view.list + w.y * view.stride;
    if (view.most < 1) return;
    int const held = row_mass::count(b, attention, view.count, view.bound->share, s.mass) - 1;
    int const protects = held < view.most ? held : view.most;
    if (protects < 1) return;
    row_pick::run(b, attention, 0, view.count, protects, forced_set{view.count, 0, 0, nullptr, 0}, list, s.pick);
    b.sync();
    for (int i = b.rank(); i < protects; i += Block::threads) {
      float& x = score[list[i]];
      if (finite(x)) x = view.bound->largest;
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
