// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Numbers of 8 and 4 bits, as bits. Formats of encode/ scale them; they are no elements of a view.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/config.hpp>
#include <kvsieve/core/dtype.hpp>

namespace kvsieve::inline v0 {

/// The bits of |x| in a format of so many bits of mantissa whose exponent 0 stands for 2^Least: to nearest, ties to
/// even. |x| is at most the format's largest number. Without branches, so that loops over it vectorise.
template <int Mantissa, int Least>
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD unsigned minifloat_bits(float x) {
  unsigned const u = cs::bit_cast<unsigned>(x) & 0x7fffffffu;
  constexpr unsigned cut = 23 - Mantissa;
  unsigned const normal =
      ((u + (1u << (cut - 1)) - 1 + (u >> cut & 1u)) >> cut) - (static_cast<unsigned>(126 + Least) << Mantissa);
  // Below 2^Least steps are of one size: adding a number whose last bit is such a step rounds to it.
  constexpr unsigned base = static_cast<unsigned>(127 + Least - Mantissa + 23) << 23;
  unsigned const small = cs::bit_cast<unsigned>(cs::bit_cast<float>(u) + cs::bit_cast<float>(base)) - base;
  return u < static_cast<unsigned>(127 + Least) << 23 ? small : normal;
}
/// |x| limited to `most`; NaN counts as 0.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float limited(float x, float most) {
  unsigned const u = cs::bit_cast<unsigned>(x) & 0x7fffffffu, m = cs::bit_cast<unsigned>(most);
  return cs::bit_cast<float>(u > 0x7f800000u ? 0u : u > m ? m : u);
}
/// The sign of x as the highest of 8 bits.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD unsigned sign_bit(float x) { return cs::bit_cast<unsigned>(x) >> 24 & 0x80u; }
/// To E4M3 without infinities (largest number 448), saturating; NaN becomes 0.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD unsigned char to_e4m3(float x) {
  return static_cast<unsigned char>(minifloat_bits<3, -6>(limited(x, 448.0f)) | sign_bit(x));
}
/// To E5M2, saturating at 57344; NaN becomes 0.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD unsigned char to_e5m2(float x) {
  return static_cast<unsigned char>(minifloat_bits<2, -14>(limited(x, 57344.0f)) | sign_bit(x));
}
/// To E2M1, four bits: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and a sign; saturating, NaN becomes 0.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD unsigned to_e2m1(float x) {
  return minifloat_bits<1, 0>(limited(x, 6.0f)) | sign_bit(x) >> 4;
}
/// An E4M3 number, as it is stored.
struct e4m3_bits {
  unsigned char bits;  ///< sign, 4 bits of exponent, 3 of fraction
};
/// An E4M3 number divided by 256, which is an f16; the patterns of NaN as 480 / 256.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float from_e4m3(unsigned bits) {
  f16 h;
  h.bits = static_cast<decltype(h.bits)>((bits & 0x80u) << 8 | (bits & 0x7fu) << 7);
  return to_float(h);
}
/// An E5M2 number: the upper half of an f16.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float from_e5m2(unsigned bits) {
  f16 h;
  h.bits = static_cast<decltype(h.bits)>(bits << 8);
  return to_float(h);
}
/// An E2M1 number.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD float from_e2m1(unsigned bits) {
  unsigned const u = bits & 7u;
  unsigned const number = u == 0 ? 0u : u == 1 ? 0x3f000000u : (u + 252u) << 22;  // 2 -> 1.0
  return cs::bit_cast<float>(number | (bits & 8u) << 28);
}
}  // namespace kvsieve::inline v0
