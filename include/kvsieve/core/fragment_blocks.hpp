// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How 32 codes of up to 8 bits become bytes: together, since one fragment at a time they are dear.
#pragma once
#include <kvsieve/core/fragment.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// 32 codes as signed bytes, one behind another.
struct fragment::codes {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  __m256i v;  ///< the codes
#else
  signed char v[32];  ///< the codes
#endif

  /// Zeros.
  KVSIEVE_INLINE static codes zeros() {
    codes r{};
    return r;
  }
  /// Byte j of 16 holds code j in its low half and code j + 16 in its high one.
  KVSIEVE_INLINE static codes of_halves(unsigned char const* p) {
    codes r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
    __m256i const b = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
    r.v = _mm256_and_si256(_mm256_srlv_epi64(b, _mm256_setr_epi64x(0, 0, 4, 4)), _mm256_set1_epi8(15));
#else
    for (int i = 0; i < 32; ++i) r.v[i] = static_cast<signed char>(p[i % 16] >> (i < 16 ? 0 : 4) & 15);
#endif
    return r;
  }
  /// Codes of 4 bits, one behind another from the lowest bits on.
  KVSIEVE_INLINE static codes of_fours(unsigned char const* p) {
    codes r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
    __m256i const b = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
    r.v = _mm256_and_si256(_mm256_or_si256(b, _mm256_slli_epi16(b, 4)), _mm256_set1_epi8(15));
#else
    for (int i = 0; i < 32; ++i) r.v[i] = static_cast<signed char>(p[i / 2] >> i % 2 * 4 & 15);
#endif
    return r;
  }
  /// Codes of 2 bits, one behind another from the lowest bits on.
  KVSIEVE_INLINE static codes of_twos(unsigned char const* p) {
    codes r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
    __m256i const b = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<__m128i const*>(p)));
    __m256i const two = _mm256_or_si256(b, _mm256_slli_epi32(b, 12)),
                  four = _mm256_or_si256(two, _mm256_slli_epi32(two, 6));
    r.v = _mm256_and_si256(four, _mm256_set1_epi8(3));
#else
    for (int i = 0; i < 32; ++i) r.v[i] = static_cast<signed char>(p[i / 4] >> i % 4 * 2 & 3);
#endif
    return r;
  }
  /// With 2^Bit added to code i where bit i of a plane of 32, little-endian at any address, is set; no code has it yet.
  template <int Bit>
  KVSIEVE_INLINE codes with(unsigned char const* plane) const {
    unsigned bits;
    __builtin_memcpy(&bits, plane, 4);
    codes r = *this;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
    r.v = _mm256_mask_add_epi8(v, static_cast<__mmask32>(bits), v, _mm256_set1_epi8(static_cast<char>(1 << Bit)));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
    __m256i const order = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                           2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    __m256i const each = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
    __m256i const own = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), order), each);
    r.v = _mm256_or_si256(
        v, _mm256_and_si256(_mm256_cmpeq_epi8(own, each), _mm256_set1_epi8(static_cast<char>(1 << Bit))));
#else
    for (int i = 0; i < 32; ++i) r.v[i] = static_cast<signed char>(v[i] + (static_cast<int>(bits >> i & 1u) << Bit));
#endif
    return r;
  }
  /// Each less `x`.
  KVSIEVE_INLINE codes less(int x) const {
    codes r = *this;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
    r.v = _mm256_sub_epi8(v, _mm256_set1_epi8(static_cast<char>(x)));
#else
    for (int i = 0; i < 32; ++i) r.v[i] = static_cast<signed char>(v[i] - x);
#endif
    return r;
  }
  /// table[code] for each, of codes below 16.
  KVSIEVE_INLINE codes of_table(signed char const (&table)[16]) const {
    codes r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
    __m256i const t = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<__m128i const*>(table)));
    r.v = _mm256_shuffle_epi8(t, v);
#else
    for (int i = 0; i < 32; ++i) r.v[i] = table[v[i]];
#endif
    return r;
  }
  /// 32 bytes at any address.
  KVSIEVE_INLINE static codes of_bytes(unsigned char const* p) {
    codes r;
    __builtin_memcpy(&r.v, p, 32);
    return r;
  }
  /// Stores them, at any alignment.
  KVSIEVE_INLINE void write(signed char* to) const { __builtin_memcpy(to, &v, 32); }
  /// What of_column is divided by: a byte is widened as the highest of four, with one instruction less.
  static constexpr float unit = KVSIEVE_HOST_VECTORS && lanes >= 8 ? 0x1p24f : 1.0f;
  /// Stores the codes of eight rows in words of four, the words of a row `stride` apart and those of the next row
  /// behind them.
  KVSIEVE_INLINE static void write_columns(codes const (&row)[8], unsigned* to, int stride) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
    __m256i a[8], b[8];
    KVSIEVE_UNROLL for (int i = 0; i < 8; i += 2) {
      a[i] = _mm256_unpacklo_epi32(row[i].v, row[i + 1].v);
      a[i + 1] = _mm256_unpackhi_epi32(row[i].v, row[i + 1].v);
    }
    KVSIEVE_UNROLL for (int i = 0; i < 8; i += 4) KVSIEVE_UNROLL for (int j = 0; j < 2; ++j) {
      b[i + 2 * j] = _mm256_unpacklo_epi64(a[i + j], a[i + j + 2]);
      b[i + 2 * j + 1] = _mm256_unpackhi_epi64(a[i + j], a[i + j + 2]);
    }
    KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * stride), _mm256_permute2x128_si256(b[i], b[i + 4], 0x20));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + (i + 4) * stride),
                          _mm256_permute2x128_si256(b[i], b[i + 4], 0x31));
    }
#else
    for (int i = 0; i < 8; ++i)
      for (int j = 0; j < 8; ++j) __builtin_memcpy(to + j * stride + i, row[i].v + 4 * j, 4);
#endif
  }
  /// Byte I, in memory, of words, times `unit`.
  template <int I>
  KVSIEVE_INLINE static fragment of_column(unsigned const* words) {
    fragment r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
    constexpr int at = I << 24 | 0x00808080, next = 0x04000000;
    __m512i const top = _mm512_broadcast_i32x4(_mm_setr_epi32(at, at + next, at + 2 * next, at + 3 * next));
    r.v = (vector)_mm512_cvtepi32_ps(_mm512_shuffle_epi8(_mm512_loadu_si512(words), top));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
    constexpr int at = I << 24 | 0x00808080, next = 0x04000000;
    __m256i const top =
        _mm256_setr_epi32(at, at + next, at + 2 * next, at + 3 * next, at, at + next, at + 2 * next, at + 3 * next);
    __m256i const x = _mm256_loadu_si256(reinterpret_cast<__m256i const*>(words));
    r.v = (vector)_mm256_cvtepi32_ps(_mm256_shuffle_epi8(x, top));
#else
    for (int i = 0; i < lanes; ++i) {
      signed char of[4];
      __builtin_memcpy(of, words + i, 4);
      r.v[i] = static_cast<float>(of[I]);
    }
#endif
    return r;
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
