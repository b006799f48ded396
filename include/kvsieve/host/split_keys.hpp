// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Keys above a bracket are counted and those in it collected, several at once.
#pragma once
#include <kvsieve/core/views.hpp>
#include <kvsieve/host/key_lanes.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Of the n keys that `read(from, live)` gives in turn those above `high` are counted and those in [low, high] appended
/// to `to`; returns how many were.
template <class Read>
index split_keys(Read const& read, index n, unsigned low, unsigned high, unsigned* to, index& above) {
  constexpr int lanes = key_lanes::count;
  key_lanes const l = key_lanes::same(low), h = key_lanes::same(high);
  index q = 0, over = 0;
  auto const split = [&](key_lanes k, unsigned some) {
    unsigned const higher = k.above(h) & some, in = (k.above(l) | k.equal(l)) & ~higher & some;
    over += key_lanes::size(higher);
    // Stored even when nothing is in: every third vector has something, and no branch predictor knows which.
    k.store_first(to + q, in);
    q += key_lanes::size(in);
  };
  index i = 0;
  for (; i + lanes <= n; i += lanes) split(read(i, lanes), first_set(lanes));
  if (i < n) split(read(i, live_lanes(n, i)), first_set(live_lanes(n, i)));
  above += over;
  return q;
}
}  // namespace detail
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
