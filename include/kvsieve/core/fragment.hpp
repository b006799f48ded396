// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A fragment is what one executing thread holds at once: a vector register on the host, 16 bytes on the device
// (device/tile/fragment.hpp). Policy bodies are written against its operations and know neither its width nor its
// machine.
#pragma once
#include <cmath>

#include <cuda/std/utility>

#include <kvsieve/core/config.hpp>
#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/views.hpp>

#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES > 4  // of 4 lanes the vector types know all; a second of compiling
#include <immintrin.h>
#endif

namespace kvsieve::inline v0 {

namespace host::inline KVSIEVE_TARGET {

/// `lanes` consecutive floats in one vector register (an array of them under nvcc, which takes no vector types).
/// +, -, *, /, fma(a, b, c), <, == and where(mask, a, b) work lane by lane.
struct fragment {
  static constexpr int lanes = KVSIEVE_HOST_LANES;  ///< floats in it
#if KVSIEVE_HOST_VECTORS
  /// The register.
  typedef float vector __attribute__((vector_size(4 * KVSIEVE_HOST_LANES)));
  /// What a comparison gives: -1 in a lane where it holds, else 0.
  typedef int mask __attribute__((vector_size(4 * KVSIEVE_HOST_LANES)));
#else
  struct vector {
    float lane[lanes];
    KVSIEVE_HD float operator[](int i) const { return lane[i]; }
    KVSIEVE_HD float& operator[](int i) { return lane[i]; }
  };
  struct mask {
    int lane[lanes];
    KVSIEVE_HD int operator[](int i) const { return lane[i]; }
    KVSIEVE_HD int& operator[](int i) { return lane[i]; }
  };
#endif
  vector v;  ///< the lanes
  /// 32 codes of up to 8 bits as bytes (core/fragment_blocks.hpp).
  struct codes;

  /// Lanes of any value.
  fragment() = default;
  /// The lanes of `x`.
  KVSIEVE_INLINE KVSIEVE_HD fragment(vector x) : v(x) {}
  /// `x` in all lanes; implicit, so that bodies may write max(x, 1e-8f).
  KVSIEVE_INLINE KVSIEVE_HD fragment(float x);

  /// Signed bytes as numbers, any alignment.
  KVSIEVE_INLINE KVSIEVE_HD static fragment of_bytes(signed char const* p);
  /// An f16 at any address in all lanes.
  KVSIEVE_INLINE KVSIEVE_HD static fragment of_f16(unsigned char const* p);

  /// Nibbles of as many bytes as there are lanes, those `shift` (0 or 4) bits up, as numbers 0 to 15.
  KVSIEVE_INLINE KVSIEVE_HD static fragment of_nibbles(unsigned char const* p, int shift);
  /// x, with `value` added in each lane i where bit i of `bits` is set.
  KVSIEVE_INLINE KVSIEVE_HD static fragment add_where(fragment x, unsigned bits, float value);
  /// Codes of `Bits` (2 or 4) bits as numbers, one behind another from the lowest bits on; `p` is where lane 0's
  /// begins.
  template <int Bits>
  KVSIEVE_INLINE KVSIEVE_HD static fragment of_codes(unsigned char const* p);
  /// Bits [shift, shift + Bits) of words, as numbers.
  template <int Bits>
  KVSIEVE_INLINE KVSIEVE_HD static fragment of_words(unsigned char const* p, int shift);
  /// f16 numbers at any address.
  KVSIEVE_INLINE KVSIEVE_HD static fragment of_f16s(unsigned char const* p);
  /// f16 numbers spread to the lanes whose bit is set, from the first on; 0 in the others. Nothing behind them is read;
  /// with `before`, what lies before them may be: as many bytes before their end as `lanes` f16s take.
  KVSIEVE_INLINE KVSIEVE_HD static fragment spread_f16s(unsigned char const* p, unsigned bits, bool before = false);
  /// The same as f16s, `to` [lanes].
  /// @return where the next ones lie
  KVSIEVE_INLINE static unsigned char const* spread_f16s(unsigned char const* p, unsigned bits, bool before, f16* to);

  /// E2M1 numbers of `lanes` / 2 bytes, low nibbles first, times `scale`.
  KVSIEVE_INLINE KVSIEVE_HD static fragment of_e2m1(unsigned char const* p, float scale);
  /// E4M3 numbers of `lanes` bytes, divided by 256; the patterns of NaN as 480 / 256.
  KVSIEVE_INLINE KVSIEVE_HD static fragment of_e4m3(unsigned char const* p);
  /// E5M2 numbers of `lanes` bytes.
  KVSIEVE_INLINE KVSIEVE_HD static fragment of_e5m2(unsigned char const* p);
  /// What of_e4m3 gives of 32 bytes, as f16s.
  KVSIEVE_INLINE static void halves_of_e4m3(unsigned char const* p, f16* to);
  /// What of_e5m2 gives of 32 bytes, as f16s.
  KVSIEVE_INLINE static void halves_of_e5m2(unsigned char const* p, f16* to);

  /// One lane.
  KVSIEVE_HD float operator[](int lane) const { return v[lane]; }
  /// Stores the lanes one behind another, at any alignment.
  KVSIEVE_INLINE KVSIEVE_HD void write(float* p) const { __builtin_memcpy(p, &v, sizeof v); }
  /// @cond lane by lane
  KVSIEVE_INLINE KVSIEVE_HD fragment& operator+=(fragment x) { return *this = *this + x; }

#if KVSIEVE_HOST_VECTORS
  friend KVSIEVE_INLINE KVSIEVE_HD fragment operator-(fragment a) { return {-a.v}; }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment operator+(fragment a, fragment b) { return {a.v + b.v}; }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment operator-(fragment a, fragment b) { return {a.v - b.v}; }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment operator*(fragment a, fragment b) { return {a.v * b.v}; }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment operator/(fragment a, fragment b) { return {a.v / b.v}; }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment fma(fragment a, fragment b, fragment c) { return {a.v * b.v + c.v}; }
  friend KVSIEVE_INLINE KVSIEVE_HD mask operator<(fragment a, fragment b) { return (mask)(a.v < b.v); }
  friend KVSIEVE_INLINE KVSIEVE_HD mask operator==(fragment a, fragment b) { return (mask)(a.v == b.v); }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment where(mask m, fragment a, fragment b) { return {m ? a.v : b.v}; }
#else
#define KVSIEVE_EACH(expression)                                      \
  fragment r;                                                         \
  KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) r.v[i] = expression; \
  return r
#define KVSIEVE_EACH_MASK(expression)                                          \
  mask r;                                                                      \
  KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) r[i] = (expression) ? -1 : 0; \
  return r
  friend KVSIEVE_INLINE KVSIEVE_HD fragment operator-(fragment a) { KVSIEVE_EACH(-a.v[i]); }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment operator+(fragment a, fragment b) { KVSIEVE_EACH(a.v[i] + b.v[i]); }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment operator-(fragment a, fragment b) { KVSIEVE_EACH(a.v[i] - b.v[i]); }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment operator*(fragment a, fragment b) { KVSIEVE_EACH(a.v[i] * b.v[i]); }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment operator/(fragment a, fragment b) { KVSIEVE_EACH(a.v[i] / b.v[i]); }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment fma(fragment a, fragment b, fragment c) {
    KVSIEVE_EACH(::fmaf(a.v[i], b.v[i], c.v[i]));
  }
  friend KVSIEVE_INLINE KVSIEVE_HD mask operator<(fragment a, fragment b) { KVSIEVE_EACH_MASK(a.v[i] < b.v[i]); }
  friend KVSIEVE_INLINE KVSIEVE_HD mask operator==(fragment a, fragment b) { KVSIEVE_EACH_MASK(a.v[i] == b.v[i]); }
  friend KVSIEVE_INLINE KVSIEVE_HD fragment where(mask m, fragment a, fragment b) {
    KVSIEVE_EACH(m[i] != 0 ? a.v[i] : b.v[i]);
  }
#undef KVSIEVE_EACH
#undef KVSIEVE_EACH_MASK
#endif
  /// @endcond
};

// Written out, since adding x to a zero vector may not be folded (-0) and would cost an addition each time.
KVSIEVE_INLINE KVSIEVE_HD fragment::fragment(float x) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  v = vector{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  v = vector{x, x, x, x, x, x, x, x};
#elif KVSIEVE_HOST_VECTORS
  v = vector{x, x, x, x};
#else
  KVSIEVE_UNROLL for (int i = 0; i < lanes; ++i) v[i] = x;
#endif
}

/// a < b ? b : a, so a NaN in b gives a.
KVSIEVE_INLINE KVSIEVE_HD fragment max(fragment a, fragment b) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  return (fragment::vector)_mm512_maskz_max_ps(0xffff, (__m512)b.v, (__m512)a.v);
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  return (fragment::vector)_mm256_max_ps((__m256)b.v, (__m256)a.v);
#else
  return where(a < b, b, a);
#endif
}
/// b < a ? b : a, so a NaN in b gives a.
KVSIEVE_INLINE KVSIEVE_HD fragment min(fragment a, fragment b) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  return (fragment::vector)_mm512_maskz_min_ps(0xffff, (__m512)b.v, (__m512)a.v);
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  return (fragment::vector)_mm256_min_ps((__m256)b.v, (__m256)a.v);
#else
  return where(b < a, b, a);
#endif
}
/// Square root of each lane.
KVSIEVE_INLINE KVSIEVE_HD fragment sqrt(fragment x) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  return (fragment::vector)_mm512_maskz_sqrt_ps(0xffff, (__m512)x.v);
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  return (fragment::vector)_mm256_sqrt_ps((__m256)x.v);
#else
  fragment r = x;
  for (int i = 0; i < fragment::lanes; ++i) r.v[i] = ::sqrtf(x.v[i]);
  return r;
#endif
}

/// Loads `lanes` consecutive elements, widened; any alignment.
KVSIEVE_INLINE KVSIEVE_HD fragment load(float const* p) {
  fragment r;
  __builtin_memcpy(&r.v, p, sizeof r.v);
  return r;
}
/// Loads `lanes` consecutive elements, widened; any alignment.
KVSIEVE_INLINE KVSIEVE_HD fragment load(bf16 const* p) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  __m512i const x = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<__m256i const*>(p)));
  return (fragment::vector)_mm512_slli_epi32(x, 16);
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  __m256i const x = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
  return (fragment::vector)_mm256_slli_epi32(x, 16);
#elif KVSIEVE_HOST_VECTORS
  typedef unsigned short half_vector __attribute__((vector_size(2 * KVSIEVE_HOST_LANES)));
  typedef unsigned word_vector __attribute__((vector_size(4 * KVSIEVE_HOST_LANES)));
  half_vector h;
  __builtin_memcpy(&h, p, sizeof h);
  return {(fragment::vector)(__builtin_convertvector(h, word_vector) << 16)};
#else
  fragment r;
  for (int i = 0; i < fragment::lanes; ++i) r.v[i] = to_float(p[i]);
  return r;
#endif
}
/// Loads `lanes` consecutive elements, widened; any alignment.
KVSIEVE_INLINE KVSIEVE_HD fragment load(f16 const* p) {
#if KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 16
  return (fragment::vector)_mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<__m256i const*>(p)));
#elif KVSIEVE_HOST_VECTORS && KVSIEVE_HOST_LANES == 8
  return (fragment::vector)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<__m128i const*>(p)));
#else
  fragment r(0.0f);
  for (int i = 0; i < fragment::lanes; ++i) r.v[i] = to_float(p[i]);
  return r;
#endif
}
/// Loads channels [d, d + lanes) of a row: one vector load where the row is contiguous, as its format knows how to
/// where it is encoded, else an element at a time.
template <class Row>
KVSIEVE_INLINE KVSIEVE_HD fragment load_row(Row const& row, int d) {
  if constexpr (cs::is_pointer_v<Row>) {
    return load(row + d);
  } else if constexpr (requires { row.template load<fragment>(d); }) {
    return row.template load<fragment>(d);
  } else {
    fragment r(0.0f);
    for (int i = 0; i < fragment::lanes; ++i) r.v[i] = to_float(row[d + i]);
    return r;
  }
}
/// Fragments in a row of D channels.
template <int D>
inline constexpr int fragments_of = D / fragment::lanes;
/// The channel that lane `lane` of fragment `c` of load_channels holds. bf16 comes as even and odd channels of a pair
/// of fragments, which spares shuffles: sums over channels do not mind, and what is held per channel follows this map.
template <class T, int D>
[[nodiscard]] KVSIEVE_HD constexpr int channel_at(int c, int lane) {
#if KVSIEVE_HOST_VECTORS
  if (cs::is_same_v<T, bf16> && (c | 1) < fragments_of<D>) return (c & ~1) * fragment::lanes + 2 * lane + (c & 1);
#endif
  return c * fragment::lanes + lane;
}
/// The same for the rows of a view: only contiguous ones come in pairs.
template <class View>
[[nodiscard]] KVSIEVE_HD constexpr int channel_in(int c, int lane) {
  if constexpr (contiguous_rows<View>)
    return channel_at<element_of<View>, head_dim_of<View>>(c, lane);
  else
    return c * fragment::lanes + lane;
}
/// Loads fragments [first, first + Count) of a row in the order of channel_at; `first` is even.
template <int D, int Count, class Row>
KVSIEVE_INLINE KVSIEVE_HD void load_channels(Row const& row, int first, fragment (&out)[Count]) {
  constexpr int lanes = fragment::lanes;
  KVSIEVE_UNROLL for (int c = 0; c < Count; c += 2) {
    if (first + c >= fragments_of<D>) continue;
    bool const paired = first + c + 1 < fragments_of<D>;
#if KVSIEVE_HOST_VECTORS
    if constexpr (cs::is_same_v<Row, bf16*> || cs::is_same_v<Row, bf16 const*>) {
      if (paired && c + 1 < Count) {
        typedef unsigned words __attribute__((vector_size(4 * KVSIEVE_HOST_LANES)));
        words x;
        __builtin_memcpy(&x, row + (first + c) * lanes, sizeof x);
        out[c] = fragment((fragment::vector)(x << 16));
        out[c + 1] = fragment((fragment::vector)(x & 0xffff0000u));
        continue;
      }
    }
#endif
    out[c] = load_row(row, (first + c) * lanes);
    if (paired && c + 1 < Count) out[c + 1] = load_row(row, (first + c + 1) * lanes);
  }
}
/// Stores the lanes one behind another; any alignment.
KVSIEVE_INLINE KVSIEVE_HD void store(float* p, fragment x) { x.write(p); }
/// Sums of two fragments each that registers, 16 or 32, hold beside what they are made of.
inline constexpr int paired_sums = fragment::lanes < 16 ? 6 : 8;
/// Keeps what was loaded in a register: compilers would rather load it again in every operation that it is part of, and
/// a core does fewer loads a cycle than a tile of products then takes.
KVSIEVE_INLINE fragment pinned(fragment x) {
#if KVSIEVE_HOST_VECTORS && defined(__AVX512F__)
  asm("" : "+v"(x.v));
#elif KVSIEVE_HOST_VECTORS && defined(__AVX__)
  asm("" : "+x"(x.v));
#endif
  return x;
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0

#include <kvsieve/core/fragment_blocks.hpp>
#include <kvsieve/core/fragment_codes.hpp>
#include <kvsieve/core/fragment_lanes.hpp>
