// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Radix selection on the host: from the first bit in which the keys differ, count, and carry on with the side that
// holds the k-th; of a long row among what a sample brackets. No sort. Forced tokens have a key above every score.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/host/select/key_lanes.hpp>
#include <kvsieve/host/select/sample_bracket.hpp>
#include <kvsieve/host/select/split_keys.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Scratch of one selection over up to `tokens` scores.
struct top_k_scratch {
  unsigned *key, *candidate;
  static top_k_scratch carve(arena& a, index tokens) {
    auto const room = static_cast<std::size_t>(round_up<index>(tokens, 16) + 16);
    unsigned* const key = a.take<unsigned>(room);
    return {key, a.take<unsigned>(room)};
  }
};

namespace detail {
/// Keys of n scores (padding: 0), and which bits all of them share. Returns the bits in which they differ.
inline unsigned make_keys(float const* score, index n, unsigned* key, unsigned& common) {
  constexpr int lanes = key_lanes::count;
  key_lanes all = key_lanes::same(~0u), any = key_lanes::same(0);
  index i = 0;
  for (; i + lanes <= n; i += lanes) {
    key_lanes const k = key_lanes::of_scores(score + i, lanes);
    k.store(key + i);
    all = all & k;
    any = any | k;
  }
  unsigned a = ~0u, o = 0, lane[2][lanes];
  all.store(lane[0]);
  any.store(lane[1]);
  for (int j = 0; j < lanes; ++j) a &= lane[0][j], o |= lane[1][j];
  if (i < n) {
    key_lanes::of_scores(score + i, live_lanes(n, i)).store(key + i);
    for (; i < n; ++i) a &= key[i], o |= key[i];
  }
  common = a;
  return a ^ o;
}

/// Candidates with the given bit set.
inline index count_bit(unsigned const* x, index n, unsigned bit) {
  key_lanes const t = key_lanes::same(bit);
  index c = 0, i = 0;
  for (; i + key_lanes::count <= n; i += key_lanes::count) c += key_lanes::size(key_lanes::load(x + i).having(t));
  for (; i < n; ++i) c += (x[i] & bit) != 0;
  return c;
}

/// Moves the candidates whose bit equals `set` to `to` (which may be `x`), in order. Reads and writes whole lanes.
inline void keep_side(unsigned const* x, index n, unsigned bit, bool set, unsigned* to) {
  key_lanes const t = key_lanes::same(bit);
  unsigned const turned = set ? 0 : first_set(key_lanes::count);
  index q = 0;
  for (index i = 0; i < n; i += key_lanes::count) {
    key_lanes const v = key_lanes::load(x + i);
    unsigned const side = (v.having(t) ^ turned) & first_set(live_lanes(n, i));
    v.store_first(to + q, side);
    q += key_lanes::size(side);
  }
}

/// Writes the indices of all keys above `cut` and of the first `ties` equal to it, ascending, `most` at most; returns
/// how many.
inline index emit(unsigned const* key, index n, unsigned cut, index ties, int first_index, index most, int* out) {
  constexpr int lanes = key_lanes::count;
  key_lanes const t = key_lanes::same(cut), step = key_lanes::same(lanes);
  key_lanes id = key_lanes::ascending(first_index);
  index i = 0, o = 0;
  // Whole lanes are stored, so this ends where fewer are left of the list.
  for (; i + lanes <= n && o + lanes <= most; i += lanes, id = id + step) {
    key_lanes const x = key_lanes::load(key + i);
    unsigned take = x.above(t), equal = x.equal(t);
    for (; equal != 0 && ties > 0; equal &= equal - 1, --ties) take |= equal & (0u - equal);
    id.store_first(out + o, take);
    o += key_lanes::size(take);
  }
  for (; i < n && o < most; ++i) {
    bool take = key[i] > cut;
    if (key[i] == cut && ties > 0) {
      take = true;
      --ties;
    }
    if (take) out[o++] = first_index + static_cast<int>(i);
  }
  return o;
}

/// Gives the tokens of a set the key above every score.
inline void force(forced_set const& forced, index n, unsigned* key) {
  for (index i = 0; i < forced.sink; ++i) key[i] = forced_key;
  for (index i = n - forced.recent; i < n; ++i) key[i] = forced_key;
  for (int i = 0; i < forced.white_count; ++i) key[forced.white_list[i] - forced.first] = forced_key;
}
}  // namespace detail

/// Writes the `k` best of n scores as ascending indices (plus `first_index`) into out[k]; `forced` speaks of the same n
/// tokens and was cut to k (forced_set::cut). 0 <= k <= n.
inline void top_k(float const* score, index n, index k, forced_set const& forced, int first_index, int* out,
                  top_k_scratch const& scratch) {
  if (k <= 0) return;
  if (k >= n) {
    for (index i = 0; i < n; ++i) out[i] = first_index + static_cast<int>(i);
    return;
  }
  unsigned common = 0;
  unsigned differ = detail::make_keys(score, n, scratch.key, common);
  index const forced_count = forced.size();
  if (forced_count > 0) {
    detail::force(forced, n, scratch.key);
    common = 0;
    differ = ~0u;
  }
  unsigned const* from = scratch.key;
  index left = n, need = k;
  // Of a long row, those among which the k-th lies as a sample says.
  constexpr index samples = 256;
  if (differ != 0 && n >= 16 * samples) {
    index const step = n / samples, q = sample_keys(from, n, step, scratch.candidate);
    auto const at = static_cast<double>(k) / static_cast<double>(step);
    key_range const r = sample_bracket(scratch.candidate, q, at);
    index above = 0;
    index const inside = detail::split_keys(from, n, r.low, r.high, scratch.candidate, above);
    if (above < k && k <= above + inside) {
      from = scratch.candidate;
      left = inside;
      need -= above;
      common = r.low & r.high;
      differ = r.low ^ r.high;
    }
  }
  unsigned cut = common;  // bits of the k-th key found so far; the shared ones to begin with
  if (differ != 0) {
    int const top = 31 - cs::countl_zero(differ);
    cut = top == 31 ? 0 : common >> (top + 1) << (top + 1);
    for (unsigned bit = 1u << top; bit != 0; bit >>= 1) {
      index const with = detail::count_bit(from, left, bit);
      bool const set = with >= need;
      if (set)
        cut |= bit;
      else
        need -= with;
      index const rest = set ? with : left - with;
      if (rest == left) continue;
      detail::keep_side(from, left, bit, set, scratch.candidate);
      from = scratch.candidate;
      left = rest;
    }
  }
  (void)detail::emit(scratch.key, n, cut, need, first_index, k, out);
}

/// Writes the tokens of which the ordered score is at least `least`, and the forced ones, as ascending indices into
/// out; returns how many. @pre least > 0
inline index at_least(float const* score, index n, unsigned least, forced_set const& forced, int* out,
                      top_k_scratch const& scratch) {
  unsigned common = 0;
  (void)detail::make_keys(score, n, scratch.key, common);
  detail::force(forced, n, scratch.key);
  return detail::emit(scratch.key, n, least - 1, 0, 0, n, out);
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
