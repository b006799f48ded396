// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include <kvsieve/core/dtype.hpp>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include <catch2/catch_all.hpp>

#if defined(__F16C__)
#include <immintrin.h>
#endif

namespace {
using namespace kvsieve;

float const infinity = std::numeric_limits<float>::infinity();

// The value of a 16-bit float by the definition of its format.
template <class T>
double value_of(std::uint16_t bits) {
  constexpr int fraction_bits = std::is_same_v<T, f16> ? 10 : 7, exponent_bits = 15 - fraction_bits;
  constexpr int bias = (1 << (exponent_bits - 1)) - 1, last = (1 << exponent_bits) - 1;
  double const sign = (bits & 0x8000u) != 0 ? -1.0 : 1.0;
  int const exponent = bits >> fraction_bits & last, fraction = bits & ((1 << fraction_bits) - 1);
  if (exponent == last) return fraction != 0 ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
}

template <class T>
constexpr std::uint16_t bits_of_infinity = std::is_same_v<T, f16> ? 0x7c00u : 0x7f80u;
template <class T>
constexpr std::uint16_t quiet_bit = std::is_same_v<T, f16> ? 0x0200u : 0x0040u;

// Catch's macros cost a microsecond each, so loops over all values count their misses and check the count.
template <class Holds>
int misses_over_all_bits(Holds const& holds) {
  int misses = 0;
  for (unsigned bits = 0; bits < 65536; ++bits) misses += !holds(static_cast<std::uint16_t>(bits));
  return misses;
}
}  // namespace

TEMPLATE_TEST_CASE("widening gives the value the format defines, for all 65536", "", f16, bf16) {
  CHECK(misses_over_all_bits([](std::uint16_t bits) {
          double const expected = value_of<TestType>(bits);
          float const got = to_float(TestType{bits});
          bool const same_sign = std::signbit(got) == ((bits & 0x8000u) != 0);
          return same_sign && (std::isnan(expected) ? std::isnan(got) : got == expected);
        }) == 0);
}

TEMPLATE_TEST_CASE("narrowing undoes widening, for all 65536; a NaN comes back quiet with its payload", "", f16, bf16) {
  CHECK(misses_over_all_bits([](std::uint16_t bits) {
          bool const nan = (bits & 0x7fffu) > bits_of_infinity<TestType>;
          auto const expected = static_cast<std::uint16_t>(nan ? bits | quiet_bit<TestType> : bits);
          return from_float<TestType>(to_float(TestType{bits})).bits == expected;
        }) == 0);
}

TEMPLATE_TEST_CASE("narrowing rounds to nearest, ties to even, at every midpoint", "", f16, bf16) {
  CHECK(misses_over_all_bits([](std::uint16_t low) {
          if ((low & 0x7fffu) >= bits_of_infinity<TestType>) return true;  // the last one's neighbour is the infinity
          auto const high = static_cast<std::uint16_t>(low + 1);           // the next one away from 0
          // Beyond the largest finite value the grid goes on for the purpose of rounding.
          double const step =
              std::abs(value_of<TestType>(low) - value_of<TestType>(static_cast<std::uint16_t>(low - 1)));
          double const to = (high & 0x7fffu) == bits_of_infinity<TestType>
                                ? value_of<TestType>(low) + std::copysign(step, value_of<TestType>(low))
                                : value_of<TestType>(high);
          auto const middle = static_cast<float>((value_of<TestType>(low) + to) / 2);  // exact
          float const outwards = std::copysign(infinity, middle);
          auto const even = (low & 1u) == 0 ? low : high;
          return from_float<TestType>(middle).bits == even &&
                 from_float<TestType>(std::nextafter(middle, 0.0f)).bits == low &&
                 from_float<TestType>(std::nextafter(middle, outwards)).bits == high;
        }) == 0);
}

TEST_CASE("narrowing overflows to infinity and keeps signs") {
  CHECK(from_float<f16>(65504.0f).bits == 0x7bffu);
  CHECK(from_float<f16>(65519.996f).bits == 0x7bffu);
  CHECK(from_float<f16>(65520.0f).bits == 0x7c00u);
  CHECK(from_float<f16>(-1e30f).bits == 0xfc00u);
  CHECK(from_float<f16>(infinity).bits == 0x7c00u);
  CHECK(from_float<f16>(-0.0f).bits == 0x8000u);
  CHECK(from_float<f16>(0x1p-25f).bits == 0u);  // a tie between 0 and the smallest subnormal
  CHECK(from_float<f16>(std::nextafter(0x1p-25f, 1.0f)).bits == 1u);
  CHECK(from_float<f16>(std::numeric_limits<float>::denorm_min()).bits == 0u);
  CHECK(from_float<bf16>(std::numeric_limits<float>::max()).bits == 0x7f80u);
  CHECK(from_float<bf16>(-infinity).bits == 0xff80u);
  CHECK(from_float<bf16>(-0.0f).bits == 0x8000u);
}

TEMPLATE_TEST_CASE("every NaN stays a quiet NaN", "", f16, bf16) {
  int misses = 0;
  for (unsigned sign : {0u, 0x80000000u})
    for (unsigned payload = 1; payload < 0x800000u; payload += 61) {
      TestType const x = from_float<TestType>(std::bit_cast<float>(sign | 0x7f800000u | payload));
      misses += (x.bits & 0x7fffu) <= bits_of_infinity<TestType> || (x.bits & quiet_bit<TestType>) == 0;
    }
  CHECK(misses == 0);
}

#if defined(__F16C__)
TEST_CASE("f16 conversions agree with the processor's") {
  CHECK(misses_over_all_bits([](std::uint16_t bits) {
          float const x = _cvtsh_ss(bits), y = to_float(f16{bits});
          return std::isnan(x) ? std::isnan(y) : std::bit_cast<unsigned>(x) == std::bit_cast<unsigned>(y);
        }) == 0);
#if !defined(__clang__)  // there the intrinsic is a macro that warns
  int misses = 0;
  for (std::uint64_t u = 0; u < (1ull << 32); u += 509) {
    float const x = std::bit_cast<float>(static_cast<std::uint32_t>(u));
    misses += from_float<f16>(x).bits != _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT);
  }
  CHECK(misses == 0);
#endif
}
#endif

TEST_CASE("element types know their size and name") {
  CHECK(size_of(dtype::f32) == 4);
  CHECK(size_of(dtype::f16) == 2);
  CHECK(size_of(dtype::bf16) == 2);
  CHECK(std::string(name_of(dtype::f32)) == "f32");
  CHECK(std::string(name_of(dtype::f16)) == "f16");
  CHECK(std::string(name_of(dtype::bf16)) == "bf16");
  STATIC_CHECK(dtype_of<float> == dtype::f32);
  STATIC_CHECK(dtype_of<f16> == dtype::f16);
  STATIC_CHECK(dtype_of<bf16> == dtype::bf16);
  STATIC_CHECK(element<float>);
  STATIC_CHECK(!element<double>);
  STATIC_CHECK(sizeof(f16) == 2 && sizeof(bf16) == 2);
}
