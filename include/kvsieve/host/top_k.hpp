// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Radix selection on the host: from the first bit in which the keys differ, count, and carry on with the side that
// holds the k-th; no sort. Forced tokens have a key above every score.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>

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
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
/// Which of the 16 scores from i on there are, out of n.
inline __mmask16 live_lanes(index n, index i) {
  return static_cast<__mmask16>(n - i >= 16 ? 0xffff : (1u << (n - i)) - 1);
}
/// ordered() of 16 scores; 0 where there is none.
inline __m512i ordered_keys(float const* score, __mmask16 live) {
  __m512 const x = _mm512_add_ps(_mm512_maskz_loadu_ps(live, score), _mm512_setzero_ps());
  __m512i const u = _mm512_castps_si512(x), sign = _mm512_maskz_srai_epi32(0xffff, u, 31);
  __m512i const top = _mm512_set1_epi32(static_cast<int>(0x80000000u));
  return _mm512_maskz_xor_epi32(_mm512_mask_cmp_ps_mask(live, x, x, _CMP_ORD_Q), u, _mm512_or_si512(sign, top));
}
#endif

/// Keys of n scores (padding: 0), and which bits all of them share. Returns the bits in which they differ.
inline unsigned make_keys(float const* score, index n, unsigned* key, unsigned& common) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  __m512i all = _mm512_set1_epi32(-1), any = _mm512_setzero_si512();
  for (index i = 0; i < n; i += 16) {
    __mmask16 const live = live_lanes(n, i);
    __m512i const k = ordered_keys(score + i, live);
    _mm512_storeu_si512(key + i, k);
    all = _mm512_mask_and_epi32(all, live, all, k);
    any = _mm512_or_si512(any, k);
  }
  unsigned a = ~0u, o = 0;
  alignas(64) unsigned lane[2][16];
  _mm512_store_si512(lane[0], all);
  _mm512_store_si512(lane[1], any);
  for (int i = 0; i < 16; ++i) a &= lane[0][i], o |= lane[1][i];
#else
  unsigned a = ~0u, o = 0;
  for (index i = 0; i < n; ++i) {
    key[i] = ordered(score[i]);
    a &= key[i];
    o |= key[i];
  }
#endif
  common = a;
  return a ^ o;
}

/// Candidates with the given bit set.
inline index count_bit(unsigned const* x, index n, unsigned bit) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  index c = 0, i = 0;
  __m512i const t = _mm512_set1_epi32(static_cast<int>(bit));
  for (; i + 16 <= n; i += 16) c += __builtin_popcount(_mm512_test_epi32_mask(_mm512_loadu_si512(x + i), t));
  for (; i < n; ++i) c += (x[i] & bit) != 0;
  return c;
#else
  index c = 0;
  for (index i = 0; i < n; ++i) c += (x[i] & bit) != 0;
  return c;
#endif
}

/// Moves the candidates whose bit equals `set` to `to` (which may be `x`), in order.
inline void keep_side(unsigned const* x, index n, unsigned bit, bool set, unsigned* to) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  index q = 0;
  __m512i const t = _mm512_set1_epi32(static_cast<int>(bit));
  for (index i = 0; i < n; i += 16) {
    __mmask16 const live = live_lanes(n, i);
    __m512i const v = _mm512_maskz_loadu_epi32(live, x + i);
    auto const m = static_cast<__mmask16>((_mm512_test_epi32_mask(v, t) ^ (set ? 0 : 0xffff)) & live);
    _mm512_storeu_si512(to + q, _mm512_maskz_compress_epi32(m, v));
    q += __builtin_popcount(m);
  }
#else
  index q = 0;
  for (index i = 0; i < n; ++i) {
    unsigned const v = x[i];
    to[q] = v;
    q += ((v & bit) != 0) == set;
  }
#endif
}

/// Writes the indices of all keys above `cut` and of the first `ties` equal to it, ascending.
inline void emit(unsigned const* key, index n, unsigned cut, index ties, int first_index, int* out) {
  index i = 0, o = 0;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  __m512i const t = _mm512_set1_epi32(static_cast<int>(cut));
  __m512i id = _mm512_add_epi32(_mm512_set1_epi32(first_index),
                                _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
  for (; i + 16 <= n; i += 16, id = _mm512_add_epi32(id, _mm512_set1_epi32(16))) {
    __m512i const k = _mm512_loadu_si512(key + i);
    unsigned take = _mm512_cmpgt_epu32_mask(k, t), equal = _mm512_cmpeq_epu32_mask(k, t);
    for (; equal != 0 && ties > 0; equal &= equal - 1, --ties) take |= equal & (0u - equal);
    // Compressed in a register: straight to memory is microcode on some CPUs. The list ends where it ends, so no more
    // is stored than was taken.
    int const taken = __builtin_popcount(take);
    _mm512_mask_storeu_epi32(out + o, static_cast<__mmask16>((1u << taken) - 1),
                             _mm512_maskz_compress_epi32(static_cast<__mmask16>(take), id));
    o += taken;
  }
#endif
  for (; i < n; ++i) {
    bool take = key[i] > cut;
    if (key[i] == cut && ties > 0) {
      take = true;
      --ties;
    }
    if (take) out[o++] = first_index + static_cast<int>(i);
  }
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
    for (index i = 0; i < forced.sink; ++i) scratch.key[i] = forced_key;
    for (index i = n - forced.recent; i < n; ++i) scratch.key[i] = forced_key;
    for (int i = 0; i < forced.white_count; ++i) scratch.key[forced.white_list[i]] = forced_key;
    common = 0;
    differ = ~0u;
  }
  unsigned const* from = scratch.key;
  index left = n, need = k;
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
  detail::emit(scratch.key, n, cut, need, first_index, out);
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
