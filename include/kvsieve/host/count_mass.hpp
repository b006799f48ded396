// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How many of the largest scores make up a share of their sum, without a sort: a histogram of mass over the leading
// bits of the scores, then finer ones among those that share the bits of the cut. Bound by two passes over the scores,
// of which the first adds one number at a time.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/views.hpp>
#include <kvsieve/host/split_keys.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Mass of positive scores by some of their bits.
struct mass_histogram {
  static constexpr int bins = 2048;
  double mass[bins];
  mass_histogram() {
    for (double& m : mass) m = 0;
  }
  /// The bin of the cut, from the last one down: the first with which `taken` reaches `wanted`. What lies above it is
  /// added to `taken`. Rounding may leave all of them a little short: then the lowest that is not empty.
  [[nodiscard]] unsigned cut(double wanted, double& taken) const {
    int lowest = 0;
    while (lowest < bins - 1 && !(mass[lowest] > 0)) ++lowest;
    for (int b = bins - 1; b > lowest; --b) {
      if (!(mass[b] > 0)) continue;
      if (taken + mass[b] >= wanted) return static_cast<unsigned>(b);
      taken += mass[b];
    }
    return static_cast<unsigned>(lowest);
  }
};
}  // namespace detail

/// With the positive scores sorted, the largest first: 1 + how many of their running sums lie below `share` of the
/// whole sum, at most n. What is not positive, or not finite, counts as 0. `room` holds n numbers, rounded up to whole
/// lanes and 16 more.
[[nodiscard]] inline index count_mass(float const* score, index n, double share, unsigned* room) {
  constexpr unsigned sign = 0x80000000u, infinity = 0x7f800000u;
  constexpr int coarse = 22;
  constexpr unsigned leading = 512;  // bins of one part
  // Four parts of one histogram in turn, since neighbours are often alike and would wait for each other's sums.
  detail::mass_histogram first;
  index infinite = 0;
  auto const add = [&](index t, unsigned part) {
    unsigned const bits = cs::bit_cast<unsigned>(score[t]), own = bits < infinity ? bits : 0u;
    infinite += bits == infinity;
    first.mass[part * leading + (own >> coarse)] += static_cast<double>(cs::bit_cast<float>(own));
  };
  index t = 0;
  for (; t + 4 <= n; t += 4)
    for (unsigned part = 0; part < 4; ++part) add(t + part, part);
  for (; t < n; ++t) add(t, 0);
  double sum = 0;
  for (unsigned b = leading; b-- > 0;) {
    for (unsigned part = 1; part < 4; ++part) {
      first.mass[b] += first.mass[b + part * leading];
      first.mass[b + part * leading] = 0;
    }
    sum += first.mass[b];
  }
  if (!(sum > 0)) return n < 1 ? n : 1;
  double const wanted = share * sum;
  double taken = 0;         // the mass of the scores above the cut's bin
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
    for (index i = 0; i < q; ++i)
      finer.mass[room[i] >> shift & 2047u] += static_cast<double>(cs::bit_cast<float>(room[i] & ~sign));
    cut |= finer.cut(wanted, taken) << shift;
    q = bounds(shift, [&](index i, int) { return key_lanes::load(room + i); }, q);
  }
  // Equal scores are left, q of them.
  auto const value = static_cast<double>(cs::bit_cast<float>(cut));
  double const ratio = (wanted - taken) / value;
  index below = !(ratio > 0) ? 0 : ratio < static_cast<double>(q) ? static_cast<index>(ratio) : q;
  while (below > 0 && taken + static_cast<double>(below) * value >= wanted) --below;
  while (below < q && taken + static_cast<double>(below + 1) * value < wanted) ++below;
  index const all = above + below + 1;
  return all < n ? all : n;
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
