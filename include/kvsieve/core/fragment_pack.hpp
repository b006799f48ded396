// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How a fragment writes what formats of rows (encode/) are made of: bytes, nibbles, bits, words and f16 numbers. The
// same bytes for any number of lanes.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/minifloat.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Fragments that hold a block of 32 numbers.
inline constexpr int fragments_of_32 = 32 / fragment::lanes;

/// x, as its last operation rounds it: no compiler joins that with the next one, as it does with products and sums
/// where the machine has instructions for both at once.
KVSIEVE_INLINE KVSIEVE_HD fragment rounded(fragment x) {
#if KVSIEVE_HOST_VECTORS && defined(__AVX512F__)
  __asm__("" : "+v"(x.v));
#elif KVSIEVE_HOST_VECTORS && defined(__SSE2__)
  __asm__("" : "+x"(x.v));
#elif KVSIEVE_HOST_VECTORS && defined(__aarch64__)
  __asm__("" : "+w"(x.v));
#elif defined(__CUDA_ARCH__)
  for (int i = 0; i < fragment::lanes; ++i) x.v[i] = __fadd_rn(x.v[i], -0.0f);
#else
  for (int i = 0; i < fragment::lanes; ++i) {
    float volatile as = x.v[i];
    x.v[i] = as;
  }
#endif
  return x;
}
/// Numbers without their fraction, as integers; they fit an int.
KVSIEVE_INLINE KVSIEVE_HD fragment::mask truncated(fragment x) {
#if KVSIEVE_HOST_VECTORS
  return __builtin_convertvector(x.v, fragment::mask);
#else
  fragment::mask r;
  for (int i = 0; i < fragment::lanes; ++i) r[i] = static_cast<int>(x.v[i]);
  return r;
#endif
}
/// The same as numbers.
KVSIEVE_INLINE KVSIEVE_HD fragment whole(fragment x) {
#if KVSIEVE_HOST_VECTORS
  return __builtin_convertvector(truncated(x), fragment::vector);
#else
  for (int i = 0; i < fragment::lanes; ++i) x.v[i] = static_cast<float>(static_cast<int>(x.v[i]));
  return x;
#endif
}
/// The nearest integers, ties to even, of numbers of at most 2^22.
KVSIEVE_INLINE KVSIEVE_HD fragment nearest_even(fragment x) {
  fragment const round(12582912.0f);  // 1.5 * 2^23: the last bit of a sum is 1
  return (rounded(x) + round) - round;
}
/// Half of integers, rounded away from 0.
KVSIEVE_INLINE KVSIEVE_HD fragment::mask half_of(fragment::mask x) {
#if KVSIEVE_HOST_VECTORS
  return (x - (x > -1)) >> 1;
#else
  for (int i = 0; i < fragment::lanes; ++i) x[i] = (x[i] + (x[i] > -1 ? 1 : 0)) >> 1;
  return x;
#endif
}
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
namespace detail {
/// Bytes of fragments in order. Packing works in halves: those of c[0], c[1], .. stand in words 0, 4, 1, 5, ..
KVSIEVE_INLINE __m256i in_order(__m256i packed) {
  return _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}
}  // namespace detail
#endif
/// Writes integers from 0 on of `Count` fragments, 32 or 16 of them, as bytes; what exceeds `most` is written as that.
template <int Count>
KVSIEVE_INLINE KVSIEVE_HD void store_bytes(unsigned char* p, fragment::mask const (&c)[Count], int most = 255) {
  static_assert(Count * fragment::lanes == 32 || Count * fragment::lanes == 16);
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  KVSIEVE_UNROLL for (int i = 0; i < Count; ++i) {
    __m512i const x = _mm512_maskz_min_epi32(0xffff, (__m512i)c[i], _mm512_set1_epi32(most));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 16 * i), _mm512_maskz_cvtepi32_epi8(0xffff, x));
  }
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  __m256i const words = _mm256_packs_epi32((__m256i)c[0], (__m256i)c[1]);
  __m256i const more = Count == 4 ? _mm256_packs_epi32((__m256i)c[Count - 2], (__m256i)c[Count - 1]) : words;
  __m256i bytes = detail::in_order(_mm256_packus_epi16(words, more));
  if (most < 255) bytes = _mm256_min_epu8(bytes, _mm256_set1_epi8(static_cast<char>(most)));
  if constexpr (Count == 4)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), bytes);
  else
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(bytes));
#else
  for (int i = 0; i < Count; ++i)
    for (int j = 0; j < fragment::lanes; ++j)
      p[i * fragment::lanes + j] = static_cast<unsigned char>(c[i][j] < most ? c[i][j] : most);
#endif
}
/// Writes 32 integers from 0 to 127 as bytes, and in bit `Bit` of each whether a number is negative, or -0.
template <int Bit>
KVSIEVE_INLINE KVSIEVE_HD void store_with_signs(unsigned char* p, fragment::mask const (&c)[fragments_of_32],
                                                fragment const (&x)[fragments_of_32]) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  KVSIEVE_UNROLL for (int i = 0; i < 2; ++i) {
    __m128i const bytes = _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)c[i]);
    __m128i const marks = _mm_maskz_set1_epi8(_mm512_movepi32_mask((__m512i)x[i].v), static_cast<char>(1 << Bit));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 16 * i), _mm_or_si128(bytes, marks));
  }
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  __m256i const words = _mm256_packs_epi32((__m256i)c[0], (__m256i)c[1]);
  __m256i const bytes = _mm256_packus_epi16(words, _mm256_packs_epi32((__m256i)c[2], (__m256i)c[3]));
  // What is packed keeps its sign.
  __m256i const first = _mm256_packs_epi32((__m256i)x[0].v, (__m256i)x[1].v);
  __m256i const signs = _mm256_packs_epi16(first, _mm256_packs_epi32((__m256i)x[2].v, (__m256i)x[3].v));
  __m256i const marks = _mm256_srli_epi16(_mm256_and_si256(signs, _mm256_set1_epi8(-128)), 7 - Bit);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), detail::in_order(_mm256_or_si256(bytes, marks)));
#else
  for (int i = 0; i < 32; ++i) {
    int const f = i / fragment::lanes, lane = i % fragment::lanes;
    p[i] = static_cast<unsigned char>(static_cast<unsigned>(c[f][lane]) | sign_bit(x[f].v[lane]) >> (7 - Bit));
  }
#endif
}
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
namespace detail {
/// Half of integers of 16 bits, rounded away from 0.
KVSIEVE_INLINE __m256i half_of_words(__m256i x) {
  return _mm256_srai_epi16(_mm256_sub_epi16(x, _mm256_cmpgt_epi16(x, _mm256_set1_epi16(-1))), 1);
}
}  // namespace detail
#endif
/// Writes half of 32 integers of at most 254, rounded away from 0, as signed bytes.
KVSIEVE_INLINE KVSIEVE_HD void store_half_bytes(unsigned char* p, fragment::mask const (&c)[fragments_of_32]) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  KVSIEVE_UNROLL for (int i = 0; i < 2; ++i) {
    __m256i const half = detail::half_of_words(_mm512_maskz_cvtepi32_epi16(0xffff, (__m512i)c[i]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p + 16 * i), _mm256_maskz_cvtepi16_epi8(0xffff, half));
  }
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  __m256i const low = detail::half_of_words(_mm256_packs_epi32((__m256i)c[0], (__m256i)c[1]));
  __m256i const high = detail::half_of_words(_mm256_packs_epi32((__m256i)c[2], (__m256i)c[3]));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), detail::in_order(_mm256_packs_epi16(low, high)));
#else
  for (int i = 0; i < fragments_of_32; ++i) {
    fragment::mask const half = half_of(c[i]);
    for (int j = 0; j < fragment::lanes; ++j) p[i * fragment::lanes + j] = static_cast<unsigned char>(half[j]);
  }
#endif
}
/// Writes 32 codes of 4 bits as 16 bytes: code j in the low bits of byte j, code j + 16 in its high ones.
/// @tparam Wider  codes have further bits, which do not count
template <bool Wider>
KVSIEVE_INLINE KVSIEVE_HD void store_nibbles(unsigned char* p, unsigned char const* codes) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  __m256i const all = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(codes));
  __m256i const low = Wider ? _mm256_and_si256(all, _mm256_set1_epi8(15)) : all;
  __m128i const high = _mm_slli_epi16(_mm256_extracti128_si256(low, 1), 4);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_or_si128(_mm256_castsi256_si128(low), high));
#else
  unsigned char byte_of[16];  // apart from codes, which might overlap
  for (int j = 0; j < 16; ++j) byte_of[j] = static_cast<unsigned char>((codes[j] & 15) | (codes[j + 16] & 15) << 4);
  __builtin_memcpy(p, byte_of, 16);
#endif
}
/// Bit `bit` of 32 codes, that of code j as bit j.
KVSIEVE_INLINE KVSIEVE_HD unsigned plane_of(unsigned char const* codes, int bit) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  __m256i const x = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(codes));
  return static_cast<unsigned>(_mm256_movemask_epi8(_mm256_sll_epi16(x, _mm_cvtsi32_si128(7 - bit))));
#else
  unsigned plane = 0;
  for (int i = 0; i < 32; i += 8) {
    unsigned long long eight;
    __builtin_memcpy(&eight, codes + i, 8);
    // The product brings bit j of byte j, for all j, into the highest byte.
    unsigned long long const bits = (eight >> bit & 0x0101010101010101u) * 0x0102040810204080u;
    plane |= static_cast<unsigned>(bits >> 56) << i;
  }
  return plane;
#endif
}
/// Writes 32 codes of `Bits` (2 or 4) bits one behind another from the lowest bits on: 4 Bits bytes.
template <int Bits>
KVSIEVE_INLINE KVSIEVE_HD void store_codes(unsigned char* p, unsigned char const* codes) {
  static_assert(Bits == 2 || Bits == 4);
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  __m256i const x = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(codes));
  __m256i const pairs = _mm256_maddubs_epi16(x, _mm256_set1_epi16(1 | 1 << (8 + Bits)));
  if constexpr (Bits == 4) {
    __m128i const all = _mm_packus_epi16(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), all);
  } else {
    __m256i const fours = _mm256_madd_epi16(pairs, _mm256_set1_epi32(1 | 16 << 16));
    __m128i const words = _mm_packs_epi32(_mm256_castsi256_si128(fours), _mm256_extracti128_si256(fours, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
  }
#else
  for (int i = 0; i < 4; ++i) {
    unsigned long long x;
    __builtin_memcpy(&x, codes + 8 * i, 8);
    if constexpr (Bits == 2) {
      x = (x | x >> 6) & 0x000f000f000f000fu;
      x = (x | x >> 12) & 0x000000ff000000ffu;
    } else {
      x = (x | x >> 4) & 0x00ff00ff00ff00ffu;
      x = (x | x >> 8) & 0x0000ffff0000ffffu;
    }
    x |= x >> (32 - 4 * Bits);
    __builtin_memcpy(p + Bits * i, &x, Bits);
  }
#endif
}
/// Writes words of 32 bits, low + 2^16 high for whole numbers below 2^16.
KVSIEVE_INLINE KVSIEVE_HD void store_words(unsigned char* p, fragment low, fragment high) {
  fragment::mask const a = truncated(low), b = truncated(high);
#if KVSIEVE_HOST_VECTORS
  fragment::mask const word = a | b << 16;
  __builtin_memcpy(p, &word, sizeof word);
#else
  for (int i = 0; i < fragment::lanes; ++i) {
    unsigned const word = static_cast<unsigned>(a[i]) | static_cast<unsigned>(b[i]) << 16;
    __builtin_memcpy(p + 4 * i, &word, 4);
  }
#endif
}
/// Writes a number within the f16s as f16, to nearest, ties to even.
KVSIEVE_INLINE KVSIEVE_HD void store_f16(unsigned char* p, float x) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  int const h = _mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(x), 0));
  __builtin_memcpy(p, &h, 2);
#else
  f16 const h = from_float<f16>(x);
  __builtin_memcpy(p, &h.bits, 2);
#endif
}
/// Writes numbers within the f16s as f16, to nearest, ties to even.
KVSIEVE_INLINE KVSIEVE_HD void store_f16s(unsigned char* p, fragment x) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_maskz_cvtps_ph(0xffff, (__m512)x.v, 0));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph((__m256)x.v, 0));
#else
  for (int i = 0; i < fragment::lanes; ++i) {
    f16 const h = from_float<f16>(x.v[i]);
    __builtin_memcpy(p + 2 * i, &h.bits, 2);
  }
#endif
}
/// Which of 32 bytes from 0 to 127 exceed one of -1 to 127, that of byte j as bit j.
KVSIEVE_INLINE KVSIEVE_HD unsigned above(unsigned char const* bytes, int than) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  __m256i const x = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(bytes));
  return static_cast<unsigned>(_mm256_movemask_epi8(_mm256_cmpgt_epi8(x, _mm256_set1_epi8(static_cast<char>(than)))));
#else
  constexpr unsigned long long ones = 0x0101010101010101u;
  unsigned set = 0;
  for (int i = 0; i < 32; i += 8) {
    unsigned long long eight;
    __builtin_memcpy(&eight, bytes + i, 8);
    // The highest bit of each byte stays where its number is larger; as in plane_of they move together.
    unsigned long long const larger = (eight | ones << 7) - ones * static_cast<unsigned>(than + 1);
    set |= static_cast<unsigned>((larger >> 7 & ones) * 0x0102040810204080u >> 56) << i;
  }
  return set;
#endif
}
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
namespace detail {
/// For each pattern of 8 bits how bytes of 8 f16s move: those of lanes that are set to the front, in order.
struct gather_moves {
  alignas(16) unsigned char of[256][16] = {};
  constexpr gather_moves() {
    for (unsigned bits = 0; bits < 256; ++bits) {
      int to = 0;
      for (unsigned i = 0; i < 8; ++i) {
        if ((bits >> i & 1u) == 0) continue;
        of[bits][to++] = static_cast<unsigned char>(2 * i);
        of[bits][to++] = static_cast<unsigned char>(2 * i + 1);
      }
    }
  }
};
inline constexpr gather_moves gathers_of_bits;
}  // namespace detail
#endif
/// Writes those of eight f16s whose bit is set, one behind another; 16 bytes may be overwritten.
/// @return how many are set
KVSIEVE_INLINE KVSIEVE_HD int store_set_f16s(unsigned char* p, f16 const* eight, unsigned bits) {
  unsigned const set = bits & 0xffu;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  __m128i const move = _mm_load_si128(reinterpret_cast<__m128i const*>(detail::gathers_of_bits.of[set]));
  __m128i const x = _mm_loadu_si128(reinterpret_cast<__m128i const*>(eight));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_shuffle_epi8(x, move));
  return __builtin_popcount(set);
#else
  int count = 0;
  for (int i = 0; i < 8; ++i) {
    __builtin_memcpy(p + 2 * count, &eight[i].bits, 2);
    count += static_cast<int>(set >> i & 1u);
  }
  return count;
#endif
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
