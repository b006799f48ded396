// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What formats of blocks share: numbers of 16 bits at any address, ranges of a block, rounding. All of it is inlined
// wherever it is used, so that units compiled for different machines do not share it.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/dtype.hpp>
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment_range.hpp>

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
/// An address as memory is read there: kernels are given rows at even addresses (device/attend/attend.hpp), the host
/// any.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD byte const* readable_at(byte const* p) {
#if defined(__CUDA_ARCH__)
  return static_cast<byte const*>(__builtin_assume_aligned(p, 2));
#else
  return p;
#endif
}
/// The f16 at an address, little-endian, of any alignment.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD f16 f16_at(byte const* p) {
  f16 h;
  __builtin_memcpy(&h.bits, readable_at(p), 2);
  return h;
}
/// The same as float.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float load_f16(byte const* p) { return to_float(f16_at(p)); }
/// `Count` numbers as finite() has them, `to` [Count].
template <int Count>
KVSIEVE_INLINE KVSIEVE_HD void copy_finite(float const* x, float* to) {
  for (int i = 0; i < Count; ++i) to[i] = finite(x[i]);
}
/// Smallest and largest of some numbers.
struct value_range {
  float least;  ///< the smallest; of zeros the first
  float most;   ///< the largest
  /// The largest magnitude.
  [[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float magnitude() const {
    float const m = most < -least ? -least : most;
    return m == 0.0f ? 0.0f : m;
  }
};
/// The range of a row of D numbers as finite() has them. Where that changes any, which is rare, `room` [D] takes them
/// and `x` becomes it.
template <int D>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD value_range range_of_finite(float const*& x, float* room) {
  constexpr int whole = D / host::fragment::lanes * host::fragment::lanes;
  value_range r{};
  for (bool wild = true; wild;) {
    wild = false;
    r = {finite(x[0]), finite(x[0])};
    if constexpr (whole > 0) {
      host::lane_range const lanes = host::lanes_of<whole>(x);
      wild = lanes.wild();
      r = {-host::max_lane(-lanes.least), host::max_lane(lanes.most)};
    }
    for (int i = whole; i < D; ++i) {
      float const v = finite(x[i]);
      wild = wild || v != x[i];
      r.least = v < r.least ? v : r.least;
      r.most = r.most < v ? v : r.most;
    }
    if (wild) {
      copy_finite<D>(x, room);
      x = room;
    }
  }
  if (r.least == 0.0f) {
    int i = 0;
    while (x[i] != 0.0f) ++i;
    r.least = x[i];
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
/// Four bytes at any address, little-endian.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD unsigned load_u32(byte const* p) {
  unsigned x;
  __builtin_memcpy(&x, readable_at(p), 4);
  return x;
}
/// 1 / scale, and 0 where that is no number: codes of a block without range are 0.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float inverse_of(float scale) {
  return scale > 0x1p-126f || scale < -0x1p-126f ? 1.0f / scale : 0.0f;
}
/// Whether dividing by a scale is multiplying by its inverse: powers of two.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD bool has_exact_inverse(float scale) {
  unsigned const u = cs::bit_cast<unsigned>(scale) & 0x7fffffffu;
  return (u & 0x7fffffu) == 0 && u - 0x00800000u < 0x7e000000u;  // both numbers are normal
}
}  // namespace encode
}  // namespace kvsieve::inline v0
