// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How a fragment reads what formats of rows (encode/) are made of: bytes, nibbles, bits, words and f16 scales.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/minifloat.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

KVSIEVE_INLINE KVSIEVE_HD fragment fragment::of_bytes(signed char const* p) {
  fragment r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  r.v = (vector)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p))));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  r.v = (vector)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<__m128i const*>(p))));
#else
  for (int i = 0; i < lanes; ++i) r.v[i] = static_cast<float>(p[i]);
#endif
  return r;
}
KVSIEVE_INLINE KVSIEVE_HD fragment fragment::of_f16(unsigned char const* p) {
  f16 h;
  __builtin_memcpy(&h.bits, p, 2);
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  return fragment(_cvtsh_ss(h.bits));
#else
  return fragment(to_float(h));
#endif
}

KVSIEVE_INLINE KVSIEVE_HD fragment fragment::of_nibbles(unsigned char const* p, int shift) {
  fragment r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  __m512i const x = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
  r.v = (vector)_mm512_cvtepi32_ps(
      _mm512_and_si512(_mm512_srl_epi32(x, _mm_cvtsi32_si128(shift)), _mm512_set1_epi32(15)));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  __m256i const x = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<__m128i const*>(p)));
  r.v = (vector)_mm256_cvtepi32_ps(
      _mm256_and_si256(_mm256_srl_epi32(x, _mm_cvtsi32_si128(shift)), _mm256_set1_epi32(15)));
#else
  for (int i = 0; i < lanes; ++i) r.v[i] = static_cast<float>(p[i] >> shift & 15);
#endif
  return r;
}
KVSIEVE_INLINE KVSIEVE_HD fragment fragment::add_where(fragment x, unsigned bits, float value) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  return (vector)_mm512_mask_add_ps((__m512)x.v, static_cast<__mmask16>(bits), (__m512)x.v, _mm512_set1_ps(value));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  __m256i const each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  __m256i const set = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), each), each);
  return (vector)_mm256_add_ps((__m256)x.v, _mm256_and_ps(_mm256_castsi256_ps(set), _mm256_set1_ps(value)));
#else
  for (int i = 0; i < lanes; ++i) x.v[i] += (bits >> i & 1u) != 0 ? value : 0.0f;
  return x;
#endif
}
template <int Bits>
KVSIEVE_INLINE KVSIEVE_HD fragment fragment::of_codes(unsigned char const* p) {
  static_assert(Bits == 2 || Bits == 4);
  unsigned long long all = 0;
  __builtin_memcpy(&all, p, lanes * Bits / 8);
  fragment r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  __m512i const each = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i word = _mm512_set1_epi32(static_cast<int>(static_cast<unsigned>(all)));
  __m512i by = _mm512_mullo_epi32(each, _mm512_set1_epi32(Bits));
  if constexpr (Bits == 4) {
    word = _mm512_mask_set1_epi32(word, 0xff00, static_cast<int>(static_cast<unsigned>(all >> 32)));
    by = _mm512_and_si512(by, _mm512_set1_epi32(31));
  }
  r.v = (vector)_mm512_cvtepi32_ps(_mm512_and_si512(_mm512_srlv_epi32(word, by), _mm512_set1_epi32((1 << Bits) - 1)));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  __m256i const by = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(Bits));
  __m256i const word = _mm256_set1_epi32(static_cast<int>(static_cast<unsigned>(all)));
  r.v = (vector)_mm256_cvtepi32_ps(_mm256_and_si256(_mm256_srlv_epi32(word, by), _mm256_set1_epi32((1 << Bits) - 1)));
#else
  for (int i = 0; i < lanes; ++i) r.v[i] = static_cast<float>(all >> (Bits * i) & ((1u << Bits) - 1));
#endif
  return r;
}
template <int Bits>
KVSIEVE_INLINE KVSIEVE_HD fragment fragment::of_words(unsigned char const* p, int shift) {
  constexpr unsigned mask = (1u << Bits) - 1;
  fragment r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  __m512i const x = _mm512_srl_epi32(_mm512_loadu_si512(p), _mm_cvtsi32_si128(shift));
  r.v = (vector)_mm512_cvtepi32_ps(_mm512_and_si512(x, _mm512_set1_epi32(static_cast<int>(mask))));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  __m256i const x = _mm256_srl_epi32(_mm256_loadu_si256(reinterpret_cast<__m256i const*>(p)), _mm_cvtsi32_si128(shift));
  r.v = (vector)_mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32(static_cast<int>(mask))));
#else
  for (int i = 0; i < lanes; ++i) {
    unsigned word;
    __builtin_memcpy(&word, p + 4 * i, 4);
    r.v[i] = static_cast<float>(word >> shift & mask);
  }
#endif
  return r;
}
KVSIEVE_INLINE KVSIEVE_HD fragment fragment::of_f16s(unsigned char const* p) {
  fragment r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  r.v = (vector)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<__m256i const*>(p)));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  r.v = (vector)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
#else
  for (int i = 0; i < lanes; ++i) {
    f16 h;
    __builtin_memcpy(&h.bits, p + 2 * i, 2);
    r.v[i] = to_float(h);
  }
#endif
  return r;
}
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
namespace detail {
/// For each pattern of 8 bits how bytes of 8 f16s move: those that end the 16 go to the lanes that are set, in order.
struct spread_moves {
  alignas(16) unsigned char of[256][16] = {};
  constexpr spread_moves() {
    for (unsigned bits = 0; bits < 256; ++bits) {
      int from = 16;
      for (unsigned left = bits; left != 0; left &= left - 1) from -= 2;
      for (unsigned i = 0; i < 8; ++i) {
        bool const set = (bits >> i & 1u) != 0;
        of[bits][2 * i] = static_cast<unsigned char>(set ? from : 0x80);
        of[bits][2 * i + 1] = static_cast<unsigned char>(set ? from + 1 : 0x80);
        from += set ? 2 : 0;
      }
    }
  }
};
inline constexpr spread_moves moves_of_bits;
}  // namespace detail
#endif
KVSIEVE_INLINE KVSIEVE_HD fragment fragment::spread_f16s(unsigned char const* p, unsigned bits,
                                                         [[maybe_unused]] bool before) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  if (before) {
    unsigned const set = bits & 0xffu;
    __m128i const all = _mm_loadu_si128(reinterpret_cast<__m128i const*>(p + 2 * __builtin_popcount(set) - 16));
    __m128i const move = _mm_load_si128(reinterpret_cast<__m128i const*>(detail::moves_of_bits.of[set]));
    return (vector)_mm256_cvtph_ps(_mm_shuffle_epi8(all, move));
  }
#endif
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  unsigned const set = bits & 0xffffu, there = (1u << __builtin_popcount(set)) - 1;
  __m512 const x = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(static_cast<__mmask16>(there), p));
  return (vector)_mm512_maskz_expand_ps(static_cast<__mmask16>(set), x);
#else
  fragment r(0.0f);
  for (int i = 0; i < lanes; ++i) {
    if ((bits >> i & 1u) == 0) continue;
    f16 h;
    __builtin_memcpy(&h.bits, p, 2);
    r.v[i] = to_float(h);
    p += 2;
  }
  return r;
#endif
}
KVSIEVE_INLINE unsigned char const* fragment::spread_f16s(unsigned char const* p, unsigned bits,
                                                          [[maybe_unused]] bool before, f16* to) {
  bits &= (1u << lanes) - 1;
  // As many as an address takes: what is shorter has to be widened each time.
  unsigned char const* const next = p + 2 * static_cast<cs::size_t>(__builtin_popcountll(cs::size_t{bits}));
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  if (before) {
    __m128i const all = _mm_loadu_si128(reinterpret_cast<__m128i const*>(next - 16));
    __m128i const move = _mm_load_si128(reinterpret_cast<__m128i const*>(detail::moves_of_bits.of[bits]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_shuffle_epi8(all, move));
    return next;
  }
#endif
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to),
                      _mm512_maskz_cvtps_ph(0xffff, (__m512)spread_f16s(p, bits, before).v, 0));
#else
  for (int i = 0; i < lanes; ++i) {
    bool const set = (bits >> i & 1u) != 0;
    to[i] = f16{};
    if (set) __builtin_memcpy(&to[i].bits, p, 2);
    p += set ? 2 : 0;
  }
#endif
  return next;
}
KVSIEVE_INLINE KVSIEVE_HD fragment fragment::of_e2m1(unsigned char const* p, float scale) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  fragment const numbers = vector{0, 0.5f, 1, 1.5f, 2, 3, 4, 6, -0.0f, -0.5f, -1, -1.5f, -2, -3, -4, -6};
  __m512i const b = _mm512_cvtepu8_epi64(_mm_loadl_epi64(reinterpret_cast<__m128i const*>(p)));
  __m512i const code = _mm512_or_si512(b, _mm512_slli_epi64(b, 28));  // the high nibble in the upper half
  return (vector)_mm512_permutexvar_ps(code, (__m512)(numbers * fragment(scale)).v);
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  int word;
  __builtin_memcpy(&word, p, 4);
  __m256i const code = _mm256_srlv_epi32(_mm256_set1_epi32(word), _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
  __m256 const sign = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_and_si256(code, _mm256_set1_epi32(8)), 28));
  __m256 const size = _mm256_permutevar8x32_ps(_mm256_setr_ps(0, 0.5f, 1, 1.5f, 2, 3, 4, 6), code);
  return fragment((vector)_mm256_xor_ps(size, sign)) * fragment(scale);
#else
  fragment r(0.0f);
  for (int i = 0; i < lanes; ++i) r.v[i] = from_e2m1(p[i / 2] >> i % 2 * 4 & 15u) * scale;
  return r;
#endif
}
KVSIEVE_INLINE KVSIEVE_HD fragment fragment::of_e4m3(unsigned char const* p) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  __m256i const b = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
  __m256i const half = _mm256_and_si256(_mm256_slli_epi16(b, 7), _mm256_set1_epi16(static_cast<short>(0xbfff)));
  return (vector)_mm512_maskz_cvtph_ps(0xffff, half);
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  __m128i const b = _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<__m128i const*>(p)));
  __m128i const half = _mm_and_si128(_mm_slli_epi16(b, 7), _mm_set1_epi16(static_cast<short>(0xbfff)));
  return (vector)_mm256_cvtph_ps(half);
#else
  fragment r(0.0f);
  for (int i = 0; i < lanes; ++i) r.v[i] = from_e4m3(p[i]);
  return r;
#endif
}
KVSIEVE_INLINE KVSIEVE_HD fragment fragment::of_e5m2(unsigned char const* p) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  __m256i const b = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
  return (vector)_mm512_maskz_cvtph_ps(0xffff, _mm256_slli_epi16(b, 8));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  __m128i const b = _mm_cvtepu8_epi16(_mm_loadl_epi64(reinterpret_cast<__m128i const*>(p)));
  return (vector)_mm256_cvtph_ps(_mm_slli_epi16(b, 8));
#else
  fragment r(0.0f);
  for (int i = 0; i < lanes; ++i) r.v[i] = from_e5m2(p[i]);
  return r;
#endif
}
KVSIEVE_INLINE void fragment::halves_of_e4m3(unsigned char const* p, f16* to) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  KVSIEVE_UNROLL for (int i = 0; i < 32; i += 16) {
    __m256i const b = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p + i)));
    __m256i const half = _mm256_and_si256(_mm256_slli_epi16(b, 7), _mm256_set1_epi16(static_cast<short>(0xbfff)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), half);
  }
#else
  for (int i = 0; i < 32; ++i) to[i].bits = static_cast<cs::uint16_t>((p[i] & 0x80u) << 8 | (p[i] & 0x7fu) << 7);
#endif
}
KVSIEVE_INLINE void fragment::halves_of_e5m2(unsigned char const* p, f16* to) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  KVSIEVE_UNROLL for (int i = 0; i < 32; i += 16) {
    __m256i const b = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p + i)));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), _mm256_slli_epi16(b, 8));
  }
#else
  for (int i = 0; i < 32; ++i) to[i].bits = static_cast<cs::uint16_t>(p[i] << 8);
#endif
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
