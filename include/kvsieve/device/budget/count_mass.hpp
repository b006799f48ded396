// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How many of the largest scores make up a share of their sum, by one block and without a sort: the cut is found bit by
// bit. Sums are of whole numbers, so the number is the host's (host/budget/count_mass.hpp).
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/views.hpp>
#include <kvsieve/core/whole_mass.hpp>
#include <kvsieve/device/block.hpp>
#include <kvsieve/device/tile/sum_of_all.hpp>

namespace kvsieve::inline v0 {
namespace device {

struct row_mass {
  template <block Block>
  struct shared {
    cs::int64_t part[Block::threads];
    typename Block::reduce_storage reduce;
  };

  /// With the positive ones of n numbers sorted, the largest first: 1 + how many of their running sums lie below
  /// `share` of the whole sum, at most n. What is not positive, or not finite, counts as 0. For all threads; ends with
  /// a sync.
  template <block Block>
  KVSIEVE_HD static int count(Block& b, float const* x, int n, double share, shared<Block>& s) {
    float largest = 0;
    for (index t = b.rank(); t < n; t += Block::threads)
      if (cs::bit_cast<unsigned>(x[t]) < 0x7f800000u && largest < x[t]) largest = x[t];
    largest = b.all_max(largest, s.reduce);
    if (!(largest > 0)) return n < 1 ? n : 1;
    mass_unit const unit = mass_unit::of(cs::bit_cast<unsigned>(largest), n);
    cs::int64_t const wanted = share_of_mass(share, mass_from(b, x, n, 1, unit, s));
    if (wanted == 0) return 1;
    // The largest bits from which on the mass is what is wanted; whoever has them is among equals.
    unsigned cut = 0;
    for (unsigned bit = 1u << 30; bit != 0; bit >>= 1)
      if (mass_from(b, x, n, cut | bit, unit, s) >= wanted) cut |= bit;
    cs::int64_t const above = number_from(b, x, n, cut + 1, s), ties = number_from(b, x, n, cut, s) - above;
    cs::int64_t const before = mass_from(b, x, n, cut + 1, unit, s);
    cs::int64_t const all = above + ties_below(wanted, before, unit.of_bits(cut), ties) + 1;
    return all < n ? static_cast<int>(all) : n;
  }

 private:
  /// Calls f for the bits of a thread's finite numbers that are at least `least`, which is not 0.
  template <block Block, class F>
  KVSIEVE_HD static void each_from(Block& b, float const* x, int n, unsigned least, F const& f) {
    for (index t = b.rank(); t < n; t += Block::threads) {
      unsigned const bits = cs::bit_cast<unsigned>(x[t]);
      if (bits >= least && bits < 0x7f800000u) f(bits);
    }
  }
  template <block Block>
  KVSIEVE_HD static cs::int64_t mass_from(Block& b, float const* x, int n, unsigned least, mass_unit const& unit,
                                          shared<Block>& s) {
    cs::int64_t mass = 0;
    each_from(b, x, n, least, [&](unsigned bits) { mass += unit.of_bits(bits); });
    return sum_of_all(b, mass, s.part);
  }
  template <block Block>
  KVSIEVE_HD static cs::int64_t number_from(Block& b, float const* x, int n, unsigned least, shared<Block>& s) {
    cs::int64_t number = 0;
    each_from(b, x, n, least, [&](unsigned) { ++number; });
    return sum_of_all(b, number, s.part);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
