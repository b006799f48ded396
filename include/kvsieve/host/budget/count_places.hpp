// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How the best places of several layers fall on the layers, where a place is the mean of what the heads of a layer
// score at the same rank. No row is sorted: the ranks of a sample bracket the cut in each row, one pass collects what
// lies in the brackets, samples of that bracket it closer, and what is left is sorted. Bound by reading the scores
// once.
#pragma once
#include <kvsieve/host/budget/count_best.hpp>
#include <kvsieve/host/select/sample_bracket.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Scratch of count_places beside that of count_best.
struct count_places_scratch {
  unsigned* key = nullptr;                  ///< rows lie as the scores do: what is sampled, or sorted with
  unsigned* curve = nullptr;                ///< [places of all layers]: keys of the means
  index *from = nullptr, *known = nullptr;  ///< [layers]: the first rank in the curve, and how many numbers it has
  index* places = nullptr;                  ///< [layers]: tokens that compete, of a head
  index *least = nullptr, *kept = nullptr;  ///< [layers]: for who asks: what is called by these names below
  static count_places_scratch carve(arena& a, index layers, index heads, index scores) {
    auto const n = static_cast<std::size_t>(layers), all = static_cast<std::size_t>(scores);
    auto* const key = a.take<unsigned>(all);
    auto* const curve = a.take<unsigned>(heads > 0 ? all / static_cast<std::size_t>(heads) : 0);
    auto* const from = a.take<index>(n);
    auto* const known = a.take<index>(n);
    auto* const places = a.take<index>(n);
    auto* const least = a.take<index>(n);
    return {key, curve, from, known, places, least, a.take<index>(n)};
  }
};

namespace detail {
/// The work of count_places.
template <class Exec, class Row>
class place_counter {
  static constexpr index samples = 256;  // of a row

 public:
  place_counter(Exec const& on, index layers, index heads, Row const& row, index total, index const* least,
                count_best_scratch const& rows, count_places_scratch const& s)
      : on_(on), layers_(layers), heads_(heads), row_(row), total_(total), least_(least), rows_(rows), s_(s) {}

  void count(index* kept) const {
    index room = 0, longest = 0;
    for (index l = 0; l < layers_; ++l) {
      forced_set const f = row_(l, 0).forced;
      s_.places[l] = f.tokens - f.size();
      longest = longest < s_.places[l] ? s_.places[l] : longest;
    }
    for (index i = 0; i < layers_ * heads_; ++i) {
      index const n = s_.places[i / heads_];
      rows_.first[i] = room;
      rows_.above[i] = 0;
      rows_.left[i] = n;
      room += round_up<index>(n, 16) + 16;
    }
    index step = step_of(longest / samples);
    each_row([&](index i) {
      if (step == 1) return take_all(i);
      index const q = sample_row(row(i), step, step / 2, key(i));
      sort_keys(key(i), key(i) + q, q);
    });
    for (bool first = true; step > 1; first = false) {
      average(step);
      unsigned const c = cut(step);
      index const next = step_of(step * 3 / 10);  // a bracket holds 74 of 256 samples at most
      each_row([&](index i) {
        auto const [low, high] = bracket(i, c, step);
        rows_.left[i] = first ? split_row(row(i), low, high, candidate(i), rows_.above[i])
                              : split_keys(candidate(i), rows_.left[i], low, high, candidate(i), rows_.above[i]);
        if (next > 1) (void)sample_keys(candidate(i), rows_.left[i], next, key(i));
      });
      step = next;
    }
    // As long as the cut of a layer is not surely among what is left, all of its scores are looked at. Rare.
    for (bool sure = false; !sure;) {
      each_row([&](index i) { sort_keys(candidate(i), key(i), rows_.left[i]); });
      average(1);
      unsigned const c = cut(1);
      sure = true;
      for (index l = 0; l < layers_; ++l) {
        if (holds(l, c)) continue;
        sure = false;
        on_.for_each(heads_, [&](index h, int) { take_all(l * heads_ + h); });
      }
      if (sure) share(c, kept);
    }
  }

 private:
  // Every how many-th score is looked at: instead of every second or third, all.
  static index step_of(index step) { return step < 4 ? 1 : step; }

  template <class F>
  void each_row(F const& f) const {
    on_.for_each(layers_ * heads_, [&](index i, int) { f(i); });
  }
  [[nodiscard]] competing_row row(index i) const { return row_(i / heads_, i % heads_); }
  [[nodiscard]] unsigned* candidate(index i) const { return rows_.candidate + rows_.first[i]; }
  [[nodiscard]] unsigned* key(index i) const { return s_.key + rows_.first[i] - 16 * i; }
  [[nodiscard]] unsigned* curve(index l) const {
    return s_.curve + (rows_.first[l * heads_] - 16 * l * heads_) / heads_;
  }
  // How many of what is left of row i are looked at, the middle one of every `step`.
  [[nodiscard]] index sampled(index i, index step) const { return (rows_.left[i] + step - 1 - step / 2) / step; }

  void take_all(index i) const {
    rows_.above[i] = 0;
    rows_.left[i] = split_row(row(i), 0u, ~0u, candidate(i), rows_.above[i]);
  }

  // The curve of each layer at every `step`-th rank of which all its heads have a sample.
  void average(index step) const {
    on_.for_each(layers_, [&](index l, int) {
      index const first = l * heads_;
      index from = 0, to = s_.places[l];
      for (index i = first; i < first + heads_; ++i) {
        index const end = rows_.above[i] + (step == 1 ? rows_.left[i] : sampled(i, step) * step);
        from = from < rows_.above[i] ? rows_.above[i] : from;
        to = end < to ? end : to;
      }
      s_.from[l] = from;
      s_.known[l] = from < to ? (to - from) / step : 0;
      constexpr index block = 64;
      for (index g = 0; g < s_.known[l]; g += block) {
        index const size = s_.known[l] - g < block ? s_.known[l] - g : block;
        double sum[block];
        unsigned lowest[block];
        for (index j = 0; j < block; ++j) sum[j] = 0, lowest[j] = ~0u;
        for (index i = first; i < first + heads_; ++i) {
          unsigned const* const k = (step == 1 ? candidate(i) : key(i)) + (from - rows_.above[i]) / step + g;
          for (index j = 0; j < size; ++j) {
            sum[j] += static_cast<double>(score_of(k[j]));
            lowest[j] = lowest[j] < k[j] ? lowest[j] : k[j];
          }
        }
        for (index j = 0; j < size; ++j) curve(l)[g + j] = key_of_mean(sum[j], lowest[j], static_cast<int>(heads_));
      }
    });
  }

  // How many places of a layer are at least c, as far as is known.
  [[nodiscard]] index own_reach(index l, unsigned c, index step) const {
    unsigned const* const x = curve(l);
    index from = 0, to = s_.known[l];
    while (from < to) {
      index const middle = from + (to - from) / 2;
      if (x[middle] >= c)
        from = middle + 1;
      else
        to = middle;
    }
    return s_.from[l] + from * step;
  }
  // Calls f(l, places at least c that layer l counts for): the first one reaches as far as the farthest of all, and
  // none less than its least.
  template <class F>
  void each_reach(unsigned c, index step, F const& f) const {
    index farthest = 0;
    for (index l = layers_; l-- > 0;) {
      index const own = own_reach(l, c, step), all = s_.places[l];
      farthest = farthest < own ? own : farthest;
      index const r = l > 0 ? own : farthest < all ? farthest : all;
      f(l, r < least_[l] ? least_[l] : r);
    }
  }
  // The largest number that at least `total` places reach.
  [[nodiscard]] unsigned cut(index step) const {
    unsigned low = ~0u, high = 0;
    for (index l = 0; l < layers_; ++l) {
      if (s_.known[l] == 0) continue;
      unsigned const first = curve(l)[0], last = curve(l)[s_.known[l] - 1];
      low = last < low ? last : low;
      high = high < first ? first : high;
    }
    int const bits = low < high ? 32 - cs::countl_zero(low ^ high) : 0;
    unsigned c = bits < 32 ? high >> bits << bits : 0u;
    for (int bit = bits; bit-- > 0;) {
      index all = 0;
      each_reach(c | 1u << bit, step, [&](index, index r) { all += r; });
      if (all >= total_) c |= 1u << bit;
    }
    return c;
  }

  // Keys between which the cut of a row lies as its sample says. A head's sample may err one way and its layer's mean
  // the other, which takes a part of the deviations that are allowed for.
  [[nodiscard]] key_range bracket(index i, unsigned c, index step) const {
    auto const inside = static_cast<double>(own_reach(i / heads_, c, step) - rows_.above[i]);
    return sample_bracket(key(i), sampled(i, step), inside / static_cast<double>(step));
  }

  // Whether all that is not known of layer l is surely on its side of c.
  [[nodiscard]] bool holds(index l, unsigned c) const {
    index const known = s_.known[l], end = s_.from[l] + known;
    if (s_.from[l] == 0 && end == s_.places[l]) return true;
    return known > 0 && (s_.from[l] == 0 || curve(l)[0] > c) && (end == s_.places[l] || curve(l)[known - 1] < c);
  }

  // What is above c, and of what equals it as much as is left, the lower layer first.
  void share(unsigned c, index* kept) const {
    index left = total_;
    each_reach(c + 1, 1, [&](index l, index r) { left -= kept[l] = r; });
    each_reach(c, 1, [&](index l, index r) { s_.from[l] = r; });
    for (index l = 0; l < layers_ && left > 0; ++l) {
      index const ties = s_.from[l] - kept[l], more = ties < left ? ties : left;
      kept[l] += more;
      left -= more;
    }
  }

  Exec const& on_;
  index layers_, heads_;
  Row const& row_;
  index total_;
  index const* least_;
  count_best_scratch rows_;
  count_places_scratch s_;
};
}  // namespace detail

/// kept[l] = how many of the `total` best places lie in layer l. Place t of a layer is the mean over its heads of the
/// t-th best score, forced tokens left out (-inf where +inf and -inf meet); the first layer's places are raised to the
/// best of all layers at that rank. Equal ones: the lower layer first. A layer has at least least[l], at the cost of
/// the others; where these alone are more than `total`, that is what all get. `row(l, h)` gives the competing row of a
/// head; those of a layer have as many tokens, and forced ones. The same for any number of workers.
/// @pre total <= the places of all layers; least[l] <= the places of layer l
template <class Exec, class Row>
void count_places(Exec const& on, index layers, index heads, Row const& row, index total, index const* least,
                  index* kept, count_best_scratch const& rows, count_places_scratch const& s) {
  index needed = 0;
  for (index l = 0; l < layers; ++l) needed += kept[l] = least[l];
  if (needed >= total || heads == 0) return;
  detail::place_counter<Exec, Row>(on, layers, heads, row, total, least, rows, s).count(kept);
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
