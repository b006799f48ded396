// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Element types of a cache: float, and the two 16-bit formats as storage with IEEE-correct conversions.
#pragma once
#include <cuda/std/bit>
#include <cuda/std/cstdint>
#include <cuda/std/type_traits>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {
namespace cs = ::cuda::std;

/// IEEE binary16, bit for bit what CUDA's `__half` and ggml's F16 hold. As a float, it has no value until it is given
/// one: room for many costs nothing.
struct f16 {
  cs::uint16_t bits;                                     ///< sign, 5 bits of exponent, 10 of fraction
  friend constexpr bool operator==(f16, f16) = default;  ///< of the bits: -0 differs from 0
};

/// bfloat16: the upper half of a float, bit for bit CUDA's `__nv_bfloat16`.
struct bf16 {
  cs::uint16_t bits;                                       ///< sign, 8 bits of exponent, 7 of fraction
  friend constexpr bool operator==(bf16, bf16) = default;  ///< of the bits: -0 differs from 0
};

/// An element type known at run time.
enum class dtype : cs::uint8_t { f32, f16, bf16 };

/// What a cache may be made of.
template <class T>
concept element = cs::is_same_v<T, float> || cs::is_same_v<T, f16> || cs::is_same_v<T, bf16>;

/// The run-time name of an element type.
template <element T>
inline constexpr dtype dtype_of = cs::is_same_v<T, float> ? dtype::f32
                                  : cs::is_same_v<T, f16> ? dtype::f16
                                                          : dtype::bf16;

/// Bytes of one element.
[[nodiscard]] constexpr int size_of(dtype t) { return t == dtype::f32 ? 4 : 2; }
/// "f32", "f16" or "bf16".
[[nodiscard]] constexpr char const* name_of(dtype t) {
  return t == dtype::f32 ? "f32" : t == dtype::f16 ? "f16" : "bf16";
}

/// Widening is exact; NaN payloads move with the value.
[[nodiscard]] KVSIEVE_HD constexpr float to_float(float x) { return x; }
/// Widening is exact; NaN payloads move with the value.
[[nodiscard]] KVSIEVE_HD constexpr float to_float(bf16 x) { return cs::bit_cast<float>(cs::uint32_t{x.bits} << 16); }
/// Widening is exact; NaN payloads move with the value.
[[nodiscard]] KVSIEVE_HD constexpr float to_float(f16 x) {
  cs::uint32_t const sign = cs::uint32_t{x.bits & 0x8000u} << 16, exponent = x.bits >> 10 & 31u,
                     fraction = x.bits & 1023u;
  if (exponent == 31) return cs::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return cs::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  float const magnitude = static_cast<float>(fraction) * 0x1p-24f;  // zero or subnormal: exact in float
  return cs::bit_cast<float>(sign | cs::bit_cast<cs::uint32_t>(magnitude));
}

/// Narrowing rounds to nearest, ties to even; overflow gives infinity, a NaN stays a (quiet) NaN.
template <element T>
[[nodiscard]] KVSIEVE_HD constexpr T from_float(float x) {
  cs::uint32_t const u = cs::bit_cast<cs::uint32_t>(x);
  if constexpr (cs::is_same_v<T, float>) {
    return x;
  } else if constexpr (cs::is_same_v<T, bf16>) {
    if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<cs::uint16_t>(u >> 16 | 0x40u)};
    return {static_cast<cs::uint16_t>((u + 0x7fffu + (u >> 16 & 1u)) >> 16)};
  } else {
    cs::uint32_t const sign = u >> 16 & 0x8000u, magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return {static_cast<cs::uint16_t>(sign | 0x7e00u | (magnitude >> 13 & 0x3ffu))};
    if (magnitude >= 0x477ff000u) return {static_cast<cs::uint16_t>(sign | 0x7c00u)};  // 65520 and above round to inf
    if (magnitude >= 0x38800000u) {  // normal: rebias, round at bit 13
      cs::uint32_t const r = magnitude - 0x38000000u;
      return {static_cast<cs::uint16_t>(sign | (r + 0xfffu + (r >> 13 & 1u)) >> 13)};
    }
    // Subnormal: adding 0.5 aligns the unit in the last place with 2^-24, so the addition itself rounds to even.
    float const aligned = cs::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<cs::uint16_t>(sign | (cs::bit_cast<cs::uint32_t>(aligned) - 0x3f000000u))};
  }
}
}  // namespace kvsieve::inline v0
