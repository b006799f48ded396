// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How the best scores of several rows fall on the rows, without a sort: a sample brackets the cut, one pass counts what
// lies above the bracket and collects what lies in it, and radix selection goes on among those. Bound by reading the
// scores once.
#pragma once
#include <algorithm>

#include <kvsieve/host/on.hpp>
#include <kvsieve/host/select/split_keys.hpp>
#include <kvsieve/host/select/top_k.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// A row of scores of which the forced tokens do not compete.
struct competing_row {
  float const* score;
  forced_set forced;
};

/// Scratch of count_best over rows of `scores` scores together.
struct count_best_scratch {
  static constexpr index samples = 16384;
  static constexpr int digit_bits = 12;
  unsigned *sample, *candidate;
  index *first, *left, *above;  ///< [rows]: where a row's candidates lie, how many there are, scores above the bracket
  index* held;                  ///< [rows]: for who asks; count_best itself leaves it alone
  double* number;               ///< [rows]: the same
  index* digit;                 ///< [2^digit_bits]: candidates by their next bits
  static count_best_scratch carve(arena& a, index rows, index scores) {
    auto const n = static_cast<std::size_t>(rows);
    auto* const sample = a.take<unsigned>(scores > 0 ? samples : 0);
    auto* const candidate = a.take<unsigned>(static_cast<std::size_t>(scores + 16 * rows));
    auto* const first = a.take<index>(n);
    auto* const left = a.take<index>(n);
    auto* const above = a.take<index>(n);
    auto* const held = a.take<index>(n);
    auto* const number = a.take<double>(n);
    return {sample, candidate, first, left, above, held, number, a.take<index>(scores > 0 ? 1u << digit_bits : 0)};
  }
};

namespace detail {
/// Calls f(begin, end) for every run of tokens that are not forced.
template <class F>
void each_run(forced_set const& s, F const& f) {
  index const end = s.tokens - s.recent;
  index from = s.sink;
  for (int i = s.listed_below(s.sink); i < s.white_count && s.white_list[i] < end; ++i) {
    if (from < s.white_list[i]) f(from, index{s.white_list[i]});
    from = s.white_list[i] + 1;
  }
  if (from < end) f(from, end);
}

/// Keys of every `step`-th score of a row that competes, from number `skip` on; returns how many.
inline index sample_row(competing_row const& r, index step, index skip, unsigned* to) {
  index taken = 0;
  each_run(r.forced, [&](index begin, index end) {
    index t = begin + skip;
    for (; t < end; t += step) to[taken++] = cs::bit_cast<unsigned>(r.score[t]);
    skip = t - end;
  });
  bits_to_keys(to, taken);
  return taken;
}

/// Of a row's scores that compete those above `high` are counted, and the keys of those in [low, high] written to `to`;
/// returns how many were.
inline index split_row(competing_row const& r, unsigned low, unsigned high, unsigned* to, index& above) {
  index q = 0;
  each_run(r.forced,
           [&](index begin, index end) { q += split_scores(r.score + begin, end - begin, low, high, to + q, above); });
  return q;
}
}  // namespace detail

/// count[i] = how many of the `total` best scores over all rows lie in row i, forced tokens left out of both. Equal
/// scores: the lower row first, or, with `drop_ties`, none of those that equal the last one. `row(i)` gives competing
/// row i; the same for any number of workers.
/// @pre 0 <= total <= the scores that compete
template <class Exec, class Row>
void count_best(Exec const& on, index rows, Row const& row, index total, int* count, count_best_scratch const& s,
                bool drop_ties = false) {
  index all = 0, room = 0;
  for (index i = 0; i < rows; ++i) {
    competing_row const r = row(i);
    index const n = r.forced.tokens - r.forced.size();
    count[i] = static_cast<int>(n);
    s.first[i] = room;
    room += round_up<index>(n, 16) + 16;
    all += n;
  }
  if (total >= all) return;  // all of them
  for (index i = 0; i < rows && total <= 0; ++i) count[i] = 0;
  if (total <= 0) return;

  // The bracket: the sample's estimate of the cut, and four standard deviations to either side.
  index taken = 0, passed = 0;
  index const step = all / count_best_scratch::samples + 1;
  for (index i = 0; i < rows; ++i) {
    taken += detail::sample_row(row(i), step, (step - passed % step) % step, s.sample + taken);
    passed += count[i];
  }
  double const share = static_cast<double>(total) / static_cast<double>(all), n = static_cast<double>(taken);
  double const at = share * n, spread = 4 * __builtin_sqrt(n * share * (1 - share)) + 8;
  constexpr auto larger = [](unsigned a, unsigned b) { return a > b; };
  unsigned *const last = s.sample + taken, *from = s.sample;
  unsigned high = ~0u, low = 0;
  if (at - spread >= 1) {
    from += static_cast<index>(at - spread);
    std::nth_element(s.sample, from, last, larger);
    high = *from;
  }
  if (at + spread < n - 1) {
    unsigned* const to = s.sample + static_cast<index>(at + spread);
    std::nth_element(from, to, last, larger);
    low = *to;
  }

  index above = 0, inside = 0;
  for (;;) {
    on.for_each(rows, [&](index i, int) {
      s.above[i] = 0;
      s.left[i] = detail::split_row(row(i), low, high, s.candidate + s.first[i], s.above[i]);
    });
    above = inside = 0;
    for (index i = 0; i < rows; ++i) {
      above += s.above[i];
      inside += s.left[i];
    }
    if (above < total && total <= above + inside) break;
    // The cut lies outside: once more, with all of that side. Rare, and it ends there.
    if (above >= total)
      low = high, high = ~0u;
    else
      high = low, low = 0u;
  }

  // The key of the last one that stays, a digit at a time; `need` of the candidates stay.
  index need = total - above;
  for (index i = 0; i < rows; ++i) count[i] = static_cast<int>(s.above[i]);
  for (int bits = 32 - cs::countl_zero(low ^ high); bits > 0;) {
    int const shift = bits > count_best_scratch::digit_bits ? bits - count_best_scratch::digit_bits : 0;
    unsigned const digits = 1u << (bits - shift);
    for (unsigned d = 0; d < digits; ++d) s.digit[d] = 0;
    for (index i = 0; i < rows; ++i)
      for (index c = 0; c < s.left[i]; ++c) ++s.digit[s.candidate[s.first[i] + c] >> shift & (digits - 1)];
    unsigned d = digits - 1;
    for (; s.digit[d] < need; --d) need -= s.digit[d];
    low = (bits < 32 ? low >> bits << bits : 0u) | d << shift;
    high = low | ((1u << shift) - 1);
    for (index i = 0; i < rows; ++i) {
      unsigned* const c = s.candidate + s.first[i];
      index over = 0;
      s.left[i] = detail::split_keys(c, s.left[i], low, high, c, over);
      count[i] += static_cast<int>(over);
    }
    bits = shift;
  }
  for (index i = 0; i < rows && need > 0 && !drop_ties; ++i) {
    index const ties = need < s.left[i] ? need : s.left[i];
    count[i] += static_cast<int>(ties);
    need -= ties;
  }
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
