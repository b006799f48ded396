// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How many of the largest scores make up a share of their sum, without a sort: a histogram of mass over the leading
// bits of the scores, then finer ones among those that share the bits of the cut. Bound by three passes over the
// scores, of which the second adds one number at a time.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/views.hpp>
#include <kvsieve/core/whole_mass.hpp>
#include <kvsieve/host/split_keys.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Mass of positive scores by some of their bits.
struct mass_histogram {
  static constexpr int bins = 2048;
  cs::int64_t mass[bins] = {};
  /// The bin of the cut, from the last one down: the first with which `taken` reaches `wanted`. What lies above it is
  /// added to `taken`. @pre all of it does
  [[nodiscard]] unsigned cut(cs::int64_t wanted, cs::int64_t& taken) const {
    int b = bins - 1;
    for (; taken + mass[b] < wanted; --b) taken += mass[b];
    return static_cast<unsigned>(b);
  }
};
}  // namespace detail

/// With the positive scores sorted, the largest first: 1 + how many of their running sums lie below `share` of the
/// whole sum, at most n; sums are of whole numbers (core/whole_mass.hpp). What is not positive, or not finite, counts
/// as 0. `room` holds n numbers, rounded up to whole lanes and 16 more.
[[nodiscard]] inline index count_mass(float const* score, index n, double share, unsigned* room) {
  constexpr unsigned sign = 0x80000000u, infinity = 0x7f800000u;
  constexpr int coarse = 22;
  constexpr unsigned leading = 512;  // bins of one part
  unsigned largest = 0, infinities = 0;
  for (index t = 0; t < n; ++t) {
    unsigned const bits = cs::bit_cast<unsigned>(score[t]), own = bits < infinity ? bits : 0u;
    largest = largest < own ? own : largest;
    infinities += bits == infinity ? 1u : 0u;
  }
  index const infinite = infinities;
  if (largest == 0) return n < 1 ? n : 1;
  mass_unit const unit = mass_unit::of(largest, n);
  // Four parts of one histogram in turn, since neighbours are often alike and would wait for each other's sums.
  detail::mass_histogram first;
  auto const add = [&](index t, unsigned part) {
    unsigned const bits = cs::bit_cast<unsigned>(score[t]), own = bits < infinity ? bits : 0u;
    first.mass[part * leading + (own >> coarse)] += unit.of_bits(own);
  };
  index t = 0;
  for (; t + 4 <= n; t += 4)
    for (unsigned part = 0; part < 4; ++part) add(t + part, part);
  for (; t < n; ++t) add(t, 0);
  cs::int64_t sum = 0;
  for (unsigned b = leading; b-- > 0;) {
    for (unsigned part = 1; part < 4; ++part) {
      first.mass[b] += first.mass[b + part * leading];
      first.mass[b + part * leading] = 0;
    }
    sum += first.mass[b];
  }
  cs::int64_t const wanted = share_of_mass(share, sum);
  if (wanted == 0) return 1;
  cs::int64_t taken = 0;    // the mass of the scores above the cut's bin
  index above = -infinite;  // and their number
  unsigned cut = first.cut(wanted, taken) << coarse;

  // Ordered keys of positive scores are their bits with the sign bit set; that of 0 has no other.
  auto const bounds = [&](int shift, auto const& read, index count) {
    unsigned const low = cut | sign;
    return detail::split_keys(read, count, low == sign ? low + 1 : low, low | ((1u << shift) - 1), room, above);
  };
  index q = bounds(coarse, [&](index i, int live) { return key_lanes::of_scores(score + i, live); }, n);
  for (int const shift : {11, 0}) {
    detail::mass_histogram finer;
    for (index i = 0; i < q; ++i) finer.mass[room[i] >> shift & 2047u] += unit.of_bits(room[i] & ~sign);
    cut |= finer.cut(wanted, taken) << shift;
    q = bounds(shift, [&](index i, int) { return key_lanes::load(room + i); }, q);
  }
  // Equal scores are left, q of them.
  index const all = above + ties_below(wanted, taken, unit.of_bits(cut), q) + 1;
  return all < n ? all : n;
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
