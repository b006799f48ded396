// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What radix selection does to several keys at once: 16 with AVX-512, 8 with AVX2, else one.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
/// Unsigned numbers side by side. A set of lanes is an integer with a bit for each.
struct key_lanes {
  static constexpr int count = 16;  ///< lanes
  __m512i v;                        ///< the numbers

  static key_lanes same(unsigned x) { return {_mm512_set1_epi32(static_cast<int>(x))}; }
  static key_lanes ascending(int first) {
    return {_mm512_add_epi32(_mm512_set1_epi32(first),
                             _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0))};
  }
  static key_lanes load(unsigned const* p) { return {_mm512_loadu_si512(p)}; }
  /// ordered() of the first `live` scores from p on, of which no more are read; 0 in the other lanes.
  static key_lanes of_scores(float const* p, int live) {
    auto const some = static_cast<__mmask16>((1u << live) - 1);
    __m512 const x = _mm512_add_ps(_mm512_maskz_loadu_ps(some, p), _mm512_setzero_ps());
    __m512i const u = _mm512_castps_si512(x), sign = _mm512_maskz_srai_epi32(0xffff, u, 31);
    return {_mm512_maskz_xor_epi32(_mm512_mask_cmp_ps_mask(some, x, x, _CMP_ORD_Q), u,
                                   _mm512_or_si512(sign, same(0x80000000u).v))};
  }
  friend key_lanes operator&(key_lanes a, key_lanes b) { return {_mm512_and_si512(a.v, b.v)}; }
  friend key_lanes operator|(key_lanes a, key_lanes b) { return {_mm512_or_si512(a.v, b.v)}; }
  friend key_lanes operator+(key_lanes a, key_lanes b) { return {_mm512_add_epi32(a.v, b.v)}; }
  /// Lanes that share a bit with `bits`, are above, equal.
  [[nodiscard]] unsigned having(key_lanes bits) const { return _mm512_test_epi32_mask(v, bits.v); }
  [[nodiscard]] unsigned above(key_lanes x) const { return _mm512_cmpgt_epu32_mask(v, x.v); }
  [[nodiscard]] unsigned equal(key_lanes x) const { return _mm512_cmpeq_epu32_mask(v, x.v); }
  /// All lanes, one behind another.
  void store(void* p) const { _mm512_storeu_si512(p, v); }
  /// The lanes of a set first, in order; then whatever fills `count` lanes.
  void store_first(void* p, unsigned set) const {
    // Compressed in a register: straight to memory is microcode on some CPUs.
    _mm512_storeu_si512(p, _mm512_maskz_compress_epi32(static_cast<__mmask16>(set), v));
  }
  /// How many lanes a set has.
  static int size(unsigned set) { return __builtin_popcount(set); }
};
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
namespace detail {
/// Row `set`: the lanes of the set in order, a byte each; then zeros.
struct lane_lists {
  unsigned char lane[256][8];
  constexpr lane_lists() : lane{} {
    for (unsigned set = 0; set < 256; ++set)
      for (unsigned i = 0, n = 0; i < 8; ++i)
        if ((set >> i & 1u) != 0) lane[set][n++] = static_cast<unsigned char>(i);
  }
};
inline constexpr lane_lists first_lanes{};
}  // namespace detail

/// Unsigned numbers side by side. A set of lanes is an integer with a bit for each.
struct key_lanes {
  static constexpr int count = 8;  ///< lanes
  __m256i v;                       ///< the numbers

  static key_lanes same(unsigned x) { return {_mm256_set1_epi32(static_cast<int>(x))}; }
  static key_lanes ascending(int first) {
    return {_mm256_add_epi32(_mm256_set1_epi32(first), _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0))};
  }
  static key_lanes load(unsigned const* p) { return {_mm256_loadu_si256(reinterpret_cast<__m256i const*>(p))}; }
  /// ordered() of the first `live` scores from p on, of which no more are read; 0 in the other lanes.
  static key_lanes of_scores(float const* p, int live) {
    __m256i const some = _mm256_cmpgt_epi32(_mm256_set1_epi32(live), ascending(0).v);
    __m256 const x =
        _mm256_add_ps(live == count ? _mm256_loadu_ps(p) : _mm256_maskload_ps(p, some), _mm256_setzero_ps());
    __m256i const u = _mm256_castps_si256(x), sign = _mm256_srai_epi32(u, 31);
    __m256i const number = _mm256_and_si256(_mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_ORD_Q)), some);
    return {_mm256_and_si256(_mm256_xor_si256(u, _mm256_or_si256(sign, same(0x80000000u).v)), number)};
  }
  friend key_lanes operator&(key_lanes a, key_lanes b) { return {_mm256_and_si256(a.v, b.v)}; }
  friend key_lanes operator|(key_lanes a, key_lanes b) { return {_mm256_or_si256(a.v, b.v)}; }
  friend key_lanes operator+(key_lanes a, key_lanes b) { return {_mm256_add_epi32(a.v, b.v)}; }
  /// Lanes that share a bit with `bits`, are above, equal.
  [[nodiscard]] unsigned having(key_lanes bits) const {
    return 0xffu ^ set_of(_mm256_cmpeq_epi32((*this & bits).v, _mm256_setzero_si256()));
  }
  [[nodiscard]] unsigned above(key_lanes x) const {
    __m256i const top = same(0x80000000u).v;
    return set_of(_mm256_cmpgt_epi32(_mm256_xor_si256(v, top), _mm256_xor_si256(x.v, top)));
  }
  [[nodiscard]] unsigned equal(key_lanes x) const { return set_of(_mm256_cmpeq_epi32(v, x.v)); }
  /// All lanes, one behind another.
  void store(void* p) const { _mm256_storeu_si256(static_cast<__m256i*>(p), v); }
  /// The lanes of a set first, in order; then whatever fills `count` lanes.
  void store_first(void* p, unsigned set) const {
    __m128i const lanes = _mm_loadl_epi64(reinterpret_cast<__m128i const*>(detail::first_lanes.lane[set]));
    key_lanes{_mm256_permutevar8x32_epi32(v, _mm256_cvtepu8_epi32(lanes))}.store(p);
  }
  /// How many lanes a set has.
  static int size(unsigned set) { return __builtin_popcount(set); }

 private:
  static unsigned set_of(__m256i each) { return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(each))); }
};
#else
/// Unsigned numbers side by side: here one. A set of lanes is an integer with a bit for each.
struct key_lanes {
  static constexpr int count = 1;  ///< lanes
  unsigned v;                      ///< the number

  static key_lanes same(unsigned x) { return {x}; }
  static key_lanes ascending(int first) { return {static_cast<unsigned>(first)}; }
  static key_lanes load(unsigned const* p) { return {*p}; }
  /// ordered() of the score at p.
  static key_lanes of_scores(float const* p, int /*live*/) { return {ordered(*p)}; }
  friend key_lanes operator&(key_lanes a, key_lanes b) { return {a.v & b.v}; }
  friend key_lanes operator|(key_lanes a, key_lanes b) { return {a.v | b.v}; }
  friend key_lanes operator+(key_lanes a, key_lanes b) { return {a.v + b.v}; }
  /// Lanes that share a bit with `bits`, are above, equal.
  [[nodiscard]] unsigned having(key_lanes bits) const { return (v & bits.v) != 0 ? 1 : 0; }
  [[nodiscard]] unsigned above(key_lanes x) const { return v > x.v ? 1 : 0; }
  [[nodiscard]] unsigned equal(key_lanes x) const { return v == x.v ? 1 : 0; }
  /// The lane.
  void store(void* p) const { __builtin_memcpy(p, &v, sizeof v); }
  /// The lane, in the set or not.
  void store_first(void* p, unsigned /*set*/) const { store(p); }
  /// How many lanes a set has.
  static int size(unsigned set) { return static_cast<int>(set); }
};
#endif

/// The lanes of `key_lanes` that there are from i on, of n.
[[nodiscard]] inline int live_lanes(index n, index i) {
  return n - i < key_lanes::count ? static_cast<int>(n - i) : key_lanes::count;
}
/// The set of the first `live` lanes.
[[nodiscard]] inline unsigned first_set(int live) { return (1u << live) - 1; }
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
