// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Keys above a bracket are counted and those in it collected, several at once.
#pragma once
#include <kvsieve/core/views.hpp>
#include <kvsieve/host/select/score_lanes.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Of n numbers, as `split(p, live)` tells the first `live` of them from p on apart, those above are counted and those
/// inside appended to `to`; returns how many were.
template <class Number, class Split>
index split_lanes(Number const* from, index n, Split const& split, unsigned* to, index& above) {
  constexpr int lanes = key_lanes::count, line = 16;
  index q = 0, over = 0;
  auto const take = [&](index i, int live) {
    score_lanes const x = split(from + i, live);
    over += key_lanes::size(x.above);
    // Stored even when nothing is in: every third vector has something, and no branch predictor knows which.
    x.bits.store_first(to + q, x.inside);
    q += key_lanes::size(x.inside);
  };
  index i = 0;
  for (; i + line <= n; i += line) {
    // A page ahead, since the hardware does not look beyond the one that is read.
    __builtin_prefetch(reinterpret_cast<char const*>(from + i) + 4096);
    KVSIEVE_UNROLL for (int j = 0; j < line; j += lanes) take(i + j, lanes);
  }
  for (; i < n; i += lanes) take(i, live_lanes(n, i));
  above += over;
  return q;
}

/// Of n keys those above `high` are counted and those in [low, high] appended to `to`, which may be where they lie;
/// returns how many were.
inline index split_keys(unsigned const* key, index n, unsigned low, unsigned high, unsigned* to, index& above) {
  key_lanes const l = key_lanes::same(low), h = key_lanes::same(high);
  auto const split = [&](unsigned const* p, int live) {
    key_lanes const k = key_lanes::load(p);
    unsigned const some = first_set(live), higher = k.above(h) & some;
    return score_lanes{k, higher, ~(higher | l.above(k)) & some};
  };
  return split_lanes(key, n, split, to, above);
}

/// The same of n scores by their keys, which are what is appended. low and high: keys of scores, or 0 and ~0.
inline index split_scores(float const* score, index n, unsigned low, unsigned high, unsigned* to, index& above) {
  score_bracket const bracket(low, high);
  index const q = split_lanes(score, n, [&](float const* p, int live) { return bracket.split(p, live); }, to, above);
  bits_to_keys(to, q);
  return q;
}
}  // namespace detail
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
