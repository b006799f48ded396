// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What formats of blocks share: numbers of 16 bits at any address, ranges of a block, rounding. All of it is inlined
// wherever it is used, so that units compiled for different machines do not share it.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/encoded.hpp>

namespace kvsieve::inline v0 {
namespace encode {

/// The name of a format that holds rows of another one.
struct joined_name {
  char text[48] = {};  ///< both, ended by 0
  /// `own` and then `other`, as far as there is room.
  constexpr joined_name(char const* own, char const* other) {
    int at = 0;
    for (char const* from : {own, other})
      for (; *from != 0 && at < 47; ++from) text[at++] = *from;
  }
};

/// The magnitude of a number as bits, which are ordered as numbers are: that of NaN is 0, that of infinities the
/// largest f16, see finite(). In integers throughout, since compilers put these into vector registers and comparisons
/// of floats that might trap not.
[[nodiscard]] KVSIEVE_HD constexpr int finite_magnitude(float x) {
  int const m = cs::bit_cast<int>(x) & 0x7fffffff, most = 0x477fe000;
  return m > 0x7f800000 ? 0 : m < most ? m : most;
}
/// Numbers that are not finite cannot be scaled: NaN counts as 0, infinities as the largest f16, so that neither
/// spreads beyond what the scale of its block does.
[[nodiscard]] KVSIEVE_HD constexpr float finite(float x) {
  int const u = cs::bit_cast<int>(x), sign = (u & 0x7fffffff) > 0x7f800000 ? 0 : u & ~0x7fffffff;
  return cs::bit_cast<float>(finite_magnitude(x) | sign);
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
  int most = 0;
  for (int i = 0; i < Count; ++i) {
    int const m = finite_magnitude(x[i]);
    most = most < m ? m : most;
  }
  return cs::bit_cast<float>(most);
}
/// The number of largest magnitude of `Count`, the first of equal ones.
template <int Count>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float extreme(float const* x) {
  int const most = cs::bit_cast<int>(largest_magnitude<Count>(x));
  int at = Count - 1;
  for (int i = 0; i < Count; ++i) {
    int const here = finite_magnitude(x[i]) == most ? i : Count - 1;
    at = here < at ? here : at;
  }
  return most == 0 ? 0.0f : finite(x[at]);
}
/// Smallest and largest of some numbers.
struct value_range {
  float least;  ///< the smallest
  float most;   ///< the largest
};
/// The range of `Count` numbers, `stride` apart.
template <int Count>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD value_range range_of(float const* x, int stride = 1) {
  if (stride == 1) {
    // Numbers as integers of the same order, but that -0 lies below 0: of zeros the first one counts.
    int least = 0x7fffffff, most = -0x7fffffff - 1;
    for (int i = 0; i < Count; ++i) {
      int const u = cs::bit_cast<int>(finite(x[i])), key = u ^ (u >> 31 & 0x7fffffff);
      least = key < least ? key : least;
      most = most < key ? key : most;
    }
    auto const back = [](int key) { return cs::bit_cast<float>(key ^ (key >> 31 & 0x7fffffff)); };
    if (back(least) != 0.0f && back(most) != 0.0f) return {back(least), back(most)};
  }
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
/// x * inverse to the nearest integer, halves away from zero; for magnitudes below 2^22. It counts half steps and goes
/// on in integers: a compiler that joins a product with what is added to it would round another number.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD int rounded(float x, float inverse) {
  int const halves = static_cast<int>(x * (2.0f * inverse));
  return (halves + (halves < 0 ? -1 : 1)) / 2;
}
/// 1 / scale, and 0 where that is no number: codes of a block without range are 0.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float inverse_of(float scale) {
  return scale > 0x1p-126f || scale < -0x1p-126f ? 1.0f / scale : 0.0f;
}
}  // namespace encode
}  // namespace kvsieve::inline v0
