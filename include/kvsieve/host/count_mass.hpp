// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How many of the largest scores make up a share of their sum, without a sort: a histogram of mass over the leading
// bits of the scores, then finer ones among those that share the bits of the cut. Bound by two passes over the scores.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Mass and number of scores by some of their bits.
struct mass_histogram {
  static constexpr int bins = 2048;
  double mass[bins];
  index count[bins];
  mass_histogram() {
    for (int b = 0; b < bins; ++b) mass[b] = 0, count[b] = 0;
  }
  void add(unsigned bin, float x) {
    mass[bin] += static_cast<double>(x);
    ++count[bin];
  }
  /// The bin of the cut, from the last one down: the first with which `taken` reaches `wanted`. What lies above it is
  /// added to `taken` and `above`. Rounding may leave all of them a little short: then the lowest that is not empty.
  [[nodiscard]] unsigned cut(double wanted, double& taken, index& above) const {
    int lowest = 0;
    while (lowest < bins - 1 && count[lowest] == 0) ++lowest;
    for (int b = bins - 1; b > lowest; --b) {
      if (count[b] == 0) continue;
      if (taken + mass[b] >= wanted) return static_cast<unsigned>(b);
      taken += mass[b];
      above += count[b];
    }
    return static_cast<unsigned>(lowest);
  }
};
}  // namespace detail

/// With the positive scores sorted, the largest first: 1 + how many of their running sums lie below `share` of the
/// whole sum, at most n. What is not positive, or not finite, counts as 0. `room` holds n numbers.
[[nodiscard]] inline index count_mass(float const* score, index n, double share, unsigned* room) {
  // Four parts of one histogram in turn, since neighbours are often alike and would wait for each other's sums.
  constexpr unsigned coarse = 22, leading = 512;
  constexpr float least = 0x1p-149f, most = 3.4028234664e38f;  // of positive and finite numbers
  detail::mass_histogram first;
  for (index t = 0; t < n; ++t) {
    float const x = score[t];
    if (!(least <= x && x <= most)) continue;
    first.add((cs::bit_cast<unsigned>(x) >> coarse) + leading * static_cast<unsigned>(t % 4), x);
  }
  double sum = 0;
  for (unsigned b = leading; b-- > 0;) {
    for (unsigned part = 1; part < 4; ++part) {
      first.mass[b] += first.mass[b + part * leading];
      first.count[b] += first.count[b + part * leading];
      first.count[b + part * leading] = 0;
    }
    sum += first.mass[b];
  }
  if (!(sum > 0)) return n < 1 ? n : 1;
  double const wanted = share * sum;
  double taken = 0;  // the mass of the scores above the cut's bin
  index above = 0;   // and their number
  unsigned const bits = first.cut(wanted, taken, above);

  index q = 0;
  for (index t = 0; t < n; ++t) {  // no branch: nobody could predict it
    unsigned const own = cs::bit_cast<unsigned>(score[t]);
    room[q] = own;
    q += own >> coarse == bits && own != 0;
  }
  unsigned cut = bits << coarse;
  for (unsigned const shift : {11u, 0u}) {
    detail::mass_histogram finer;
    for (index i = 0; i < q; ++i) finer.add(room[i] >> shift & 2047u, cs::bit_cast<float>(room[i]));
    unsigned const own = finer.cut(wanted, taken, above);
    cut |= own << shift;
    index left = 0;
    for (index i = 0; i < q; ++i) {
      unsigned const x = room[i];
      room[left] = x;
      left += (x >> shift & 2047u) == own;
    }
    q = left;
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
