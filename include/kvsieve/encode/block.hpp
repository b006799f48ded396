// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What formats of blocks share: numbers of 16 bits at any address, ranges of a block, rounding. All of it is inlined
// wherever it is used, so that units compiled for different machines do not share it.
#pragma once
#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/encoded.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// Numbers that are not finite cannot be scaled: NaN counts as 0, infinities as the largest f16, so that neither
/// spreads beyond what the scale of its block does.
[[nodiscard]] KVSIEVE_HD constexpr float finite(float x) {
  return !(x == x) ? 0.0f : x > 65504.0f ? 65504.0f : x < -65504.0f ? -65504.0f : x;
}
/// An address as memory is read there: kernels are given rows at even addresses (device/attend.hpp), the host any.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD byte const* readable_at(byte const* p) {
#if defined(__CUDA_ARCH__)
  return static_cast<byte const*>(__builtin_assume_aligned(p, 2));
#else
  return p;
#endif
}
/// The f16 at an address, little-endian, of any alignment.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float load_f16(byte const* p) {
  f16 h;
  __builtin_memcpy(&h.bits, readable_at(p), 2);
  return to_float(h);
}
/// Writes an f16; what is too large becomes the largest finite one.
KVSIEVE_INLINE KVSIEVE_HD void store_f16(byte* p, float x) {
  f16 const h = from_float<f16>(finite(x));
  __builtin_memcpy(p, &h.bits, 2);
}
/// Largest magnitude of `Count` numbers.
template <int Count>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float largest_magnitude(float const* x) {
  float most = 0.0f;
  for (int i = 0; i < Count; ++i) {
    float const v = finite(x[i]), a = v < 0 ? -v : v;
    most = most < a ? a : most;
  }
  return most;
}
/// The number of largest magnitude of `Count`, the first of equal ones.
template <int Count>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float extreme(float const* x) {
  float most = 0.0f, at = 0.0f;
  for (int i = 0; i < Count; ++i) {
    float const v = finite(x[i]), a = v < 0 ? -v : v;
    at = most < a ? v : at;
    most = most < a ? a : most;
  }
  return at;
}
/// Smallest and largest of some numbers.
struct value_range {
  float least;  ///< the smallest
  float most;   ///< the largest
};
/// The range of `Count` numbers, `stride` apart.
template <int Count>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD value_range range_of(float const* x, int stride = 1) {
  value_range r{finite(x[0]), finite(x[0])};
  for (int i = 1; i < Count; ++i) {
    float const v = finite(x[i * stride]);
    r.least = v < r.least ? v : r.least;
    r.most = r.most < v ? v : r.most;
  }
  return r;
}
/// A float at an address of any alignment.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float load_f32(byte const* p) {
  float x;
  __builtin_memcpy(&x, readable_at(p), 4);
  return x;
}
/// Writes a float at any alignment.
KVSIEVE_INLINE KVSIEVE_HD void store_f32(byte* p, float x) { __builtin_memcpy(p, &x, 4); }
/// Element i of a block of 32 codes: the low four bits of byte i, or from 16 on the high ones of byte i - 16.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD int nibble(byte const* codes, int i) {
  return i < 16 ? codes[i] & 15 : codes[i - 16] >> 4;
}
/// trunc(x * inverse + half), at most `most`; x * inverse + half is not negative.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD int code_of(float x, float inverse, float half, int most) {
  int const code = static_cast<int>(x * inverse + half);
  return code < most ? code : most;
}
/// Four bytes at any address, little-endian.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD unsigned load_u32(byte const* p) {
  unsigned x;
  __builtin_memcpy(&x, readable_at(p), 4);
  return x;
}
/// To the nearest integer, halves away from zero; for magnitudes below 2^22.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD int round_away(float x) {
  int const whole = static_cast<int>(x);
  float const rest = x - static_cast<float>(whole);  // exact
  return whole + (rest >= 0.5f ? 1 : rest <= -0.5f ? -1 : 0);
}
/// 1 / scale, and 0 where that is no number: codes of a block without range are 0.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float inverse_of(float scale) {
  return scale > 0x1p-126f || scale < -0x1p-126f ? 1.0f / scale : 0.0f;
}
}  // namespace encode
}  // namespace kvsieve::inline v0
