// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/affine_block.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// A format of small floats: codes 0 to codes - 1 and a sign in the bit above them all.
struct small_float {
  int mantissa;  ///< bits of the fraction
  int bias;      ///< of the exponent
  int codes;     ///< that are finite numbers, without the sign
  int sign_bit;  ///< where the sign is
  /// The number of a code without its sign.
  [[nodiscard]] double value(int code) const {
    int const exponent = code >> mantissa, fraction = code & ((1 << mantissa) - 1);
    return exponent == 0 ? std::ldexp(fraction, 1 - bias - mantissa)
                         : std::ldexp(fraction + (1 << mantissa), exponent - bias - mantissa);
  }
  /// Of all codes the nearest to x, of two the even one; NaN becomes 0.
  [[nodiscard]] unsigned nearest(double x) const {
    double const size = std::isnan(x) ? 0.0 : std::min(std::abs(x), value(codes - 1));
    int best = 0;
    for (int c = 1; c < codes; ++c) {
      double const here = std::abs(value(c) - size), there = std::abs(value(best) - size);
      if (here < there || (here == there && c % 2 == 0)) best = c;
    }
    return static_cast<unsigned>(best) | (std::signbit(x) ? 1u << sign_bit : 0u);
  }
};
/// OCP's E4M3, without infinities.
inline constexpr small_float e4m3{3, 7, 0x7f, 7};
/// OCP's E5M2; encoding gives no infinities.
inline constexpr small_float e5m2{2, 15, 0x7c, 7};
/// OCP's E2M1.
inline constexpr small_float e2m1{1, 1, 8, 3};

/// encode/fp8.hpp: x / scale.
[[nodiscard]] inline std::vector<unsigned char> fp8(std::span<float const> x, small_float const& format, double scale) {
  written w;
  for (float const v : x) w.put(format.nearest(as_float(static_cast<double>(v) / scale)), 1);
  return w.bytes;
}
/// encode/fp8.hpp with a scale behind each row: the largest magnitude is the format's largest number.
[[nodiscard]] inline std::vector<unsigned char> fp8_row(std::span<float const> x, small_float const& format) {
  written w;
  auto const row = scaled_row(x);
  double const scale = as_float(std::abs(extreme_of(row)) / format.value(format.codes - 1));
  for (double const v : row) w.put(format.nearest(as_float(v * inverse_of_scale(scale))), 1);
  w.put(std::bit_cast<std::uint32_t>(static_cast<float>(scale)), 4);
  return w.bytes;
}
/// NVFP4: E2M1 codes of 16 numbers over an E4M3 scale over `scale`.
[[nodiscard]] inline std::vector<unsigned char> nvfp4(std::span<float const> x, double scale) {
  written codes, scales;
  auto const row = scaled_row(x);
  for (std::size_t first = 0; first < row.size(); first += 16) {
    std::span<double const> const group(row.data() + first, 16);
    unsigned const sf = e4m3.nearest(as_float(std::abs(extreme_of(group)) / as_float(6 * scale)));
    double const step = as_float(e4m3.value(static_cast<int>(sf & 0x7fu)) * std::abs(scale));  // of one sign
    std::vector<int> code;
    for (double const v : group) code.push_back(step == 0 ? 0 : static_cast<int>(e2m1.nearest(as_float(v / step))));
    codes.put_codes(code, 4);
    scales.put(sf, 1);
  }
  codes.bytes.insert(codes.bytes.end(), scales.bytes.begin(), scales.bytes.end());
  return codes.bytes;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
