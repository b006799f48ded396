// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How many of the largest scores make up a share of their sum, without a sort: a sample brackets the cut, one pass
// collects what lies in the bracket, and histograms of mass over leading bits go on among those. Bound by reading the
// scores twice: the first time for the largest, which says what masses are counted in.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/views.hpp>
#include <kvsieve/core/whole_mass.hpp>
#include <kvsieve/host/budget/sum_mass.hpp>
#include <kvsieve/host/select/sample_bracket.hpp>
#include <kvsieve/host/select/split_keys.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
// Keys of positive scores are their bits with the sign bit set.
inline constexpr unsigned sign_bit = 0x80000000u, least_mass = sign_bit + 1, most_mass = 0xff7fffffu;
inline double mass_of(unsigned key) { return static_cast<double>(cs::bit_cast<float>(key & ~sign_bit)); }

/// Mass of positive scores by some of their bits.
struct mass_histogram {
  static constexpr int digit_bits = 9, bins = 1 << digit_bits;
  cs::int64_t mass[bins] = {};
  /// Finds the bin of the cut, from the last one down: the first with which `taken` reaches `wanted`. What lies above
  /// it is added to `taken`. False where all of them fall short: then the lowest that is not empty.
  bool cut(cs::int64_t wanted, cs::int64_t& taken, unsigned& bin) const {
    for (bin = bins; bin-- > 0;) {
      if (mass[bin] == 0) continue;
      if (taken + mass[bin] >= wanted) return true;
      taken += mass[bin];
    }
    bin = 0;
    while (bin < bins - 1 && mass[bin] == 0) ++bin;
    taken -= mass[bin];
    return false;
  }
};

/// Keys between which the cut lies, four standard deviations of a sample to either side.
inline key_range mass_bracket(float const* score, index n, double share, unsigned* room) {
  constexpr index samples = 256;
  key_range range{least_mass, most_mass};
  index const step = n / samples;
  if (step < 4) return range;
  index taken = 0;
  for (index t = step / 2; t < n; t += step)
    if (score[t] > 0 && score[t] < __builtin_inff()) room[taken++] = cs::bit_cast<unsigned>(score[t]) | sign_bit;
  sort_keys(room, room + taken, taken);
  double sum = 0, squares = 0;
  for (index i = 0; i < taken; ++i) {
    double const m = mass_of(room[i]);
    sum += m;
    squares += m * m;
  }
  double const unit = 1 / sum;
  double over = 0, squares_over = 0;
  for (index i = 0; i < taken; ++i) {
    double const m = mass_of(room[i]) * unit;
    over += m;
    squares_over += m * m;
    double const off = over - share, rest = squares * unit * unit - squares_over;
    if (off * off <= 16 * ((1 - over) * (1 - over) * squares_over + over * over * rest)) continue;
    if (off > 0) return {room[i] < range.high ? room[i] : range.high - 1, range.high};
    range.high = room[i];
  }
  return range;
}
/// One digit of the cut: of the q keys in `room`, all in `range`, those that share its leading bits stay, and `range`
/// is what these allow. Mass, in `unit`, and number of those above are added to `taken` and `above`. False where all
/// fall short.
inline bool narrow_mass(mass_unit const& unit, key_range& range, cs::int64_t wanted, unsigned* room, index& q,
                        cs::int64_t& taken, index& above) {
  int const bits = 32 - cs::countl_zero(range.low ^ range.high);
  int const shift = bits > mass_histogram::digit_bits ? bits - mass_histogram::digit_bits : 0;
  unsigned const digits = (1u << (bits - shift)) - 1;
  mass_histogram part;
  for (index i = 0; i < q; ++i) part.mass[room[i] >> shift & digits] += unit.of_bits(room[i] & ~sign_bit);
  unsigned bin = 0;
  bool const reached = part.cut(wanted, taken, bin);
  range.low = range.low >> bits << bits | bin << shift;
  range.high = range.low | ((1u << shift) - 1);
  q = split_keys(room, q, range.low, range.high, room, above);
  return reached;
}
}  // namespace detail

/// With the positive scores sorted, the largest first: 1 + how many of their running sums lie below `share` of the
/// whole sum, at most n; sums are of whole numbers (core/whole_mass.hpp). What is not positive, or not finite, counts
/// as 0. `room` holds n numbers, rounded up to whole lanes and 16 more.
[[nodiscard]] inline index count_mass(float const* score, index n, double share, unsigned* room) {
  largest_score const largest(score, n);
  if (largest.bits == 0) return n < 1 ? n : 1;
  mass_unit const unit = mass_unit::of(largest.bits, n);
  key_range range = detail::mass_bracket(score, n, share, room);
  score_mass mass;
  index above = 0, q = 0;  // how many finite ones lie above what is left, how many are left
  auto const look = [&] {
    mass = {};
    above = -largest.infinite;
    q = 0;
    constexpr index piece = 1024;  // of the first-level cache
    for (index t = 0; t < n; t += piece) {
      index const m = n - t < piece ? n - t : piece;
      mass.add(score + t, m, score_of(range.high), unit, largest.infinite > 0);
      q += detail::split_scores(score + t, m, range.low, range.high, room + q, above);
    }
  };
  look();
  cs::int64_t const wanted = share_of_mass(share, mass.all);
  if (wanted == 0) return 1;
  cs::int64_t& taken = mass.above;
  auto const narrow = [&] { return detail::narrow_mass(unit, range, wanted, room, q, taken, above); };
  // Where the cut lies outside of the bracket: once more, with all of that side.
  unsigned const low = range.low, high = range.high;
  if (high < detail::most_mass && taken >= wanted) {
    range = {high, detail::most_mass};
    look();
  } else if (low < high && !narrow() && low > detail::least_mass) {
    range = {detail::least_mass, low};
    look();
  }
  while (range.low < range.high) (void)narrow();
  // Equal scores are left, q of them.
  index const all = above + ties_below(wanted, taken, unit.of_bits(range.low & ~detail::sign_bit), q) + 1;
  return all < n ? all : n;
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
