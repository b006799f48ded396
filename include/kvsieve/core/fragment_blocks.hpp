// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How 32 codes of up to 8 bits become fragments: gathered as bytes first, widened together.
#pragma once
#include <kvsieve/core/fragment.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// 32 codes as signed bytes, in an order that is widened without moving bytes from one half of a register to the other.
struct fragment::codes {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
  __m256i v;  ///< the codes
#else
  signed char v[32];  ///< the codes
#endif
  static constexpr int count = 32 / lanes;  ///< fragments
  /// What numbers are multiplied with: a byte is widened as the highest of four where that is one instruction less.
  static constexpr float unit = KVSIEVE_HOST_VECTORS && lanes == 8 ? 0x1p-24f : 1.0f;

  /// Zeros.
  KVSIEVE_INLINE KVSIEVE_HD static codes zeros() {
    codes r{};
    return r;
  }
  /// Byte j of 16 holds code j in its low half and code j + 16 in its high one.
  KVSIEVE_INLINE KVSIEVE_HD static codes of_halves(unsigned char const* p) {
    codes r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
    __m256i const b = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
#if KVSIEVE_HOST_LANES == 16
    __m256i const x = _mm256_srlv_epi64(b, _mm256_setr_epi64x(0, 0, 4, 4));
#else
    __m256i const order = _mm256_setr_epi8(0, 1, 2, 3, 8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11,  //
                                           4, 5, 6, 7, 12, 13, 14, 15, 4, 5, 6, 7, 12, 13, 14, 15);
    __m256i const x = _mm256_srlv_epi64(_mm256_shuffle_epi8(b, order), _mm256_setr_epi64x(0, 4, 0, 4));
#endif
    r.v = _mm256_and_si256(x, _mm256_set1_epi8(15));
#else
    for (int i = 0; i < 32; ++i) r.v[i] = static_cast<signed char>(p[i % 16] >> (i < 16 ? 0 : 4) & 15);
#endif
    return r;
  }
  /// With 2^Bit added to code i where bit i of a plane of 32, little-endian at any address, is set; no code has it yet.
  template <int Bit>
  KVSIEVE_INLINE KVSIEVE_HD codes with(unsigned char const* plane) const {
    unsigned bits;
    __builtin_memcpy(&bits, plane, 4);
    codes r = *this;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
    r.v = _mm256_mask_add_epi8(v, static_cast<__mmask32>(bits), v, _mm256_set1_epi8(static_cast<char>(1 << Bit)));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
    __m256i const order = _mm256_setr_epi8(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3,  //
                                           0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    __m256i const each =
        _mm256_setr_epi32(0x08040201, 0x08040201, 0x08040201, 0x08040201, static_cast<int>(0x80402010),
                          static_cast<int>(0x80402010), static_cast<int>(0x80402010), static_cast<int>(0x80402010));
    __m256i const own = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(bits)), order), each);
    r.v = _mm256_or_si256(
        v, _mm256_and_si256(_mm256_cmpeq_epi8(own, each), _mm256_set1_epi8(static_cast<char>(1 << Bit))));
#else
    for (int i = 0; i < 32; ++i) r.v[i] = static_cast<signed char>(v[i] + (static_cast<int>(bits >> i & 1u) << Bit));
#endif
    return r;
  }
  /// Each less `x`.
  KVSIEVE_INLINE KVSIEVE_HD codes less(int x) const {
    codes r = *this;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES >= 8
    r.v = _mm256_sub_epi8(v, _mm256_set1_epi8(static_cast<char>(x)));
#else
    for (int i = 0; i < 32; ++i) r.v[i] = static_cast<signed char>(v[i] - x);
#endif
    return r;
  }
  /// Codes [I lanes, (I + 1) lanes), over `unit`.
  template <int I>
  KVSIEVE_INLINE KVSIEVE_HD fragment number() const {
    fragment r;
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
    r.v = (vector)_mm512_maskz_cvtepi32_ps(0xffff, _mm512_maskz_cvtepi8_epi32(0xffff, _mm256_extracti128_si256(v, I)));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
    constexpr int at = 4 * I << 24 | 0x00808080, next = 0x01000000;
    __m256i const widen =
        _mm256_setr_epi32(at, at + next, at + 2 * next, at + 3 * next, at, at + next, at + 2 * next, at + 3 * next);
    r.v = (vector)_mm256_cvtepi32_ps(_mm256_shuffle_epi8(v, widen));
#else
    for (int i = 0; i < lanes; ++i) r.v[i] = static_cast<float>(v[I * lanes + i]);
#endif
    return r;
  }
  /// Stores code * scale.
  KVSIEVE_INLINE KVSIEVE_HD void scaled(fragment scale, float* to) const {
    scale = scale * fragment(unit);
    each([&](int c, fragment x) { (x * scale).write(to + c); }, cs::make_integer_sequence<int, count>{});
  }
  /// Stores code * scale + least.
  KVSIEVE_INLINE KVSIEVE_HD void scaled(fragment scale, fragment least, float* to) const {
    scale = scale * fragment(unit);
    each([&](int c, fragment x) { fma(x, scale, least).write(to + c); }, cs::make_integer_sequence<int, count>{});
  }

 private:
  template <class Use, int... I>
  KVSIEVE_INLINE KVSIEVE_HD void each(Use const& use, cs::integer_sequence<int, I...>) const {
    (use(I * lanes, number<I>()), ...);
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
