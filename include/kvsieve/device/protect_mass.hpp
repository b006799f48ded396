// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of protect::mass: how many tokens of each head hold its attention, without a sort, and which these are.
// Sums are in double and of a fixed order.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/scores_part.hpp>
#include <kvsieve/device/select.hpp>
#include <kvsieve/device/sum_of_all.hpp>
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
    double part[Block::threads];
    row_pick::shared<Block> pick;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, mass_args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float* const score = view.score + w.y * view.stride;
    float const* const attention = view.attention + w.y * view.stride;
    int* const list = view.list + w.y * view.stride;
    if (view.most < 1) return;
    int const held = count(b, attention, view.count, view.bound->share, s) - 1;
    int const protects = held < view.most ? held : view.most;
    if (protects < 1) return;
    row_pick::run(b, attention, 0, view.count, protects, forced_set{view.count, 0, 0, nullptr, 0}, list, s.pick);
    b.sync();
    for (int i = b.rank(); i < protects; i += Block::threads) {
      float& x = score[list[i]];
      if (finite(x)) x = view.bound->largest;
    }
  }

 private:
  struct heap {
    double mass, number;
  };
  /// The finite ones of n numbers of which the bits are at least `least`, which is not 0.
  template <block Block>
  KVSIEVE_HD static heap from(Block& b, float const* x, int n, unsigned least, shared<Block>& s) {
    double mass = 0, number = 0;
    for (index t = b.rank(); t < n; t += Block::threads) {
      unsigned const bits = cs::bit_cast<unsigned>(x[t]);
      bool const counts = bits >= least && bits < 0x7f800000u;
      mass += counts ? static_cast<double>(x[t]) : 0.0;
      number += counts ? 1.0 : 0.0;
    }
    mass = sum_of_all(b, mass, s.part);
    return {mass, sum_of_all(b, number, s.part)};
  }
  /// With the positive numbers sorted, the largest first: 1 + how many of their running sums lie below `share` of the
  /// whole sum, at most n. What is not positive, or not finite, counts as 0.
  template <block Block>
  KVSIEVE_HD static int count(Block& b, float const* x, int n, double share, shared<Block>& s) {
    heap const all = from(b, x, n, 1, s);
    double const wanted = share * all.mass;
    if (!(wanted > 0)) return n < 1 ? n : 1;
    double before = all.number;  // running sums that lie below
    if (all.mass >= wanted) {
      // The largest bits from which on the mass is what is wanted; whoever has them is among equals.
      unsigned cut = 0;
      for (unsigned bit = 1u << 30; bit != 0; bit >>= 1)
        if (from(b, x, n, cut | bit, s).mass >= wanted) cut |= bit;
      heap const above = from(b, x, n, cut + 1, s);
      auto const value = static_cast<double>(cs::bit_cast<float>(cut));
      double const ties = from(b, x, n, cut, s).number - above.number, ratio = (wanted - above.mass) / value;
      double below = ratio < ties ? static_cast<double>(static_cast<int>(ratio)) : ties;
      while (below > 0 && above.mass + below * value >= wanted) below -= 1;
      while (below < ties && above.mass + (below + 1) * value < wanted) below += 1;
      before = above.number + below;
    }
    return before + 1 < n ? static_cast<int>(before) + 1 : n;
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
