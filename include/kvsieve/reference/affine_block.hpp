// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// A result as a float holds it. Sums, products and quotients of two floats are so rounded once: as doubles they are
/// exact, or precise enough that rounding twice is rounding once.
[[nodiscard]] inline double as_float(double x) { return static_cast<double>(static_cast<float>(x)); }
/// What formats that scale numbers take x for: NaN for 0, what lies beyond the f16s for the largest of its sign.
[[nodiscard]] inline double as_scaled(double x) { return std::isnan(x) ? 0.0 : std::clamp(x, -65504.0, 65504.0); }
/// 1 / scale; 0 for scales that are 0 or no normal float.
[[nodiscard]] inline double inverse_of_scale(double scale) {
  return std::abs(scale) > 0x1p-126 ? as_float(1.0 / scale) : 0.0;
}
/// The bits of the f16 nearest to x, ties to even; |x| is at most 65504.
[[nodiscard]] inline unsigned f16_bits(double x) {
  double const size = std::abs(x);
  int const exponent = size < 0x1p-14 ? -14 : std::ilogb(size);
  auto const steps = static_cast<int>(std::nearbyint(std::ldexp(size, 10 - exponent)));
  return static_cast<unsigned>(steps + (exponent + 14) * 1024) | (std::signbit(x) ? 0x8000u : 0u);
}

/// A scale, what it is counted from, and the numbers as multiples of it.
struct affine_block {
  double scale = 0;       ///< from one code to the next
  double least = 0;       ///< the number of code 0
  std::vector<int> code;  ///< of each number
};
/// scale = (most - least) / top, its last `without` bits 0; code = (x - least) / scale, to the nearest: at halves to
/// the even one, or up.
[[nodiscard]] inline affine_block by_range(std::span<double const> x, int top, bool to_even, int without = 0) {
  affine_block b;
  b.least = x[0];
  double most = x[0];
  for (double const v : x) {
    if (v < b.least) b.least = v;
    if (v > most) most = v;
  }
  auto const bits = std::bit_cast<std::uint32_t>(static_cast<float>(as_float(most - b.least) / top));
  b.scale = static_cast<double>(std::bit_cast<float>(bits >> without << without));
  for (double const v : x) {
    double const c = as_float(as_float(v - b.least) * inverse_of_scale(b.scale));
    b.code.push_back(std::min(top, static_cast<int>(to_even ? std::nearbyint(c) : as_float(c + 0.5))));
  }
  return b;
}
/// code = x / scale + half, to the nearest, up at halves, from 0 to 2 half - 1.
[[nodiscard]] inline std::vector<int> codes_around(std::span<double const> x, double scale, int half) {
  std::vector<int> code;
  for (double const v : x) {
    double const c = as_float(as_float(v * inverse_of_scale(scale)) + (half + 0.5));
    code.push_back(std::clamp(static_cast<int>(std::clamp(c, 0.0, 1e6)), 0, 2 * half - 1));
  }
  return code;
}
/// The number of largest magnitude, the first of equal ones.
[[nodiscard]] inline double extreme_of(std::span<double const> x) {
  double extreme = 0.0;
  for (double const v : x)
    if (std::abs(v) > std::abs(extreme)) extreme = v;
  return extreme;
}
/// scale = largest magnitude / most; code = x / scale, to the nearest, away from zero at halves.
[[nodiscard]] inline affine_block by_magnitude(std::span<double const> x, double most) {
  affine_block b;
  b.scale = as_float(std::abs(extreme_of(x)) / most);
  for (double const v : x) b.code.push_back(static_cast<int>(std::round(as_float(v * inverse_of_scale(b.scale)))));
  return b;
}

/// Bytes that are written one behind another.
struct written {
  std::vector<unsigned char> bytes;  ///< so far
  /// The lowest `count` bytes of a number, the lowest first.
  void put(std::uint32_t x, int count) {
    for (int i = 0; i < count; ++i) bytes.push_back(static_cast<unsigned char>(x >> 8 * i));
  }
  /// The low four bits of 32 codes, of codes j and j + 16 in byte j.
  void put_nibbles(std::span<int const> code) {
    for (std::size_t j = 0; j < 16; ++j)
      bytes.push_back(static_cast<unsigned char>((code[j] & 15) | (code[j + 16] & 15) << 4));
  }
  /// Bit `bit` of 32 codes.
  void put_plane(std::span<int const> code, int bit) {
    std::uint32_t plane = 0;
    for (std::size_t j = 0; j < 32; ++j) plane |= static_cast<std::uint32_t>(code[j] >> bit & 1) << j;
    put(plane, 4);
  }
  /// All bits of codes of `width` bits, one behind another, in bytes.
  void put_codes(std::span<int const> code, int width) {
    std::size_t const per_byte = static_cast<std::size_t>(8 / width);
    for (std::size_t first = 0; first < code.size(); first += per_byte) {
      int all = 0;
      for (std::size_t j = 0; j < per_byte; ++j) all |= code[first + j] << static_cast<int>(j) * width;
      bytes.push_back(static_cast<unsigned char>(all));
    }
  }
};
/// Rows as formats that scale them take them.
[[nodiscard]] inline std::vector<double> scaled_row(std::span<float const> x) {
  std::vector<double> row;
  for (float const v : x) row.push_back(as_scaled(static_cast<double>(v)));
  return row;
}

/// ggml's q4_0, q4_1, q5_0 and q5_1: quantize_row_*_ref of ggml-quants.c, MIT.
[[nodiscard]] inline std::vector<unsigned char> ggml_blocks(std::span<float const> x, int bits, bool minimum) {
  written w;
  auto const row = scaled_row(x);
  int const half = 1 << (bits - 1);
  for (std::size_t first = 0; first < row.size(); first += 32) {
    std::span<double const> const block(row.data() + first, 32);
    affine_block b;
    if (minimum) {
      b = by_range(block, 2 * half - 1, false);
    } else {
      b.scale = as_float(extreme_of(block) / -half);
      b.code = codes_around(block, b.scale, half);
    }
    w.put(f16_bits(b.scale), 2);
    if (minimum) w.put(f16_bits(b.least), 2);
    if (bits == 5) w.put_plane(b.code, 4);
    w.put_nibbles(b.code);
  }
  return w.bytes;
}
/// encode/bits.hpp: ggml's codes in any number of bits. With `search` the scale, of 26 around the whole one, that has
/// the least squared error.
[[nodiscard]] inline std::vector<unsigned char> bit_blocks(std::span<float const> x, int bits, bool search) {
  written w;
  auto const row = scaled_row(x);
  int const half = 1 << (bits - 1);
  auto const f16_value = [](double v) {  // of a normal or subnormal f16
    unsigned const u = f16_bits(v), exponent = u >> 10 & 31u, fraction = u & 1023u;
    double const size =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(fraction + 1024, static_cast<int>(exponent) - 25);
    return (u & 0x8000u) != 0 ? -size : size;
  };
  for (std::size_t first = 0; first < row.size(); first += 32) {
    std::span<double const> const block(row.data() + first, 32);
    double const whole = as_float(extreme_of(block) / -half);
    double scale = whole, least = std::numeric_limits<double>::infinity();
    for (int k = 0; search && k < 26; ++k) {
      double const factor = as_float(static_cast<double>(1.05f) - static_cast<double>(0.04f) * (k / 2));
      double const tried = f16_value(as_float((k % 2 == 0 ? whole : -whole) * factor));
      auto const code = codes_around(block, tried, half);
      double error = 0;
      for (std::size_t i = 0; i < 32; ++i) {
        double const e = as_float(as_float((code[i] - half) * tried) - block[i]);
        error = as_float(error + as_float(e * e));
      }
      if (error < least) {
        least = error;
        scale = tried;
      }
    }
    auto const code = codes_around(block, scale, half);
    w.put(f16_bits(scale), 2);
    if (bits >= 4) w.put_nibbles(code);
    for (int p = bits >= 4 ? 4 : 0; p < bits; ++p) w.put_plane(code, p);
  }
  return w.bytes;
}
/// encode/asymmetric.hpp: two bits between the ends of a block.
[[nodiscard]] inline std::vector<unsigned char> asymmetric_blocks(std::span<float const> x) {
  written w;
  auto const row = scaled_row(x);
  for (std::size_t first = 0; first < row.size(); first += 32) {
    affine_block const b = by_range({row.data() + first, 32}, 3, false);
    w.put(f16_bits(b.scale), 2);
    w.put(f16_bits(b.least), 2);
    w.put_plane(b.code, 0);
    w.put_plane(b.code, 1);
  }
  return w.bytes;
}
/// ggml's q8_0: quantize_row_q8_0_ref of ggml-quants.c, MIT.
[[nodiscard]] inline std::vector<unsigned char> q8_0_blocks(std::span<float const> x) {
  written w;
  auto const row = scaled_row(x);
  for (std::size_t first = 0; first < row.size(); first += 32) {
    affine_block const b = by_magnitude({row.data() + first, 32}, 127);
    w.put(f16_bits(b.scale), 2);
    for (int const c : b.code) w.put(static_cast<std::uint32_t>(c), 1);
  }
  return w.bytes;
}
/// encode/int8_row.hpp.
[[nodiscard]] inline std::vector<unsigned char> int8_row(std::span<float const> x) {
  written w;
  affine_block const b = by_magnitude(scaled_row(x), 127);
  for (int const c : b.code) w.put(static_cast<std::uint32_t>(c), 1);
  w.put(std::bit_cast<std::uint32_t>(static_cast<float>(b.scale)), 4);
  return w.bytes;
}
/// encode/int4_row.hpp.
[[nodiscard]] inline std::vector<unsigned char> int4_row(std::span<float const> x) {
  written w;
  affine_block const b = by_range(scaled_row(x), 15, false, 4);
  for (std::size_t first = 0; first < x.size(); first += 32) w.put_nibbles({b.code.data() + first, 32});
  w.put(std::bit_cast<std::uint32_t>(static_cast<float>(b.scale)), 4);
  w.put(std::bit_cast<std::uint32_t>(static_cast<float>(b.least)), 4);
  return w.bytes;
}
/// KIVI's values (Liu et al., arXiv 2402.02750): codes of all groups, their scales, their minima.
[[nodiscard]] inline std::vector<unsigned char> kivi_values(std::span<float const> x, int bits, std::size_t group) {
  written codes, scales, minima;
  auto const row = scaled_row(x);
  for (std::size_t first = 0; first < row.size(); first += group) {
    affine_block const b = by_range({row.data() + first, group}, (1 << bits) - 1, true);
    codes.put_codes(b.code, bits);
    scales.put(f16_bits(b.scale), 2);
    minima.put(f16_bits(b.least), 2);
  }
  codes.bytes.insert(codes.bytes.end(), scales.bytes.begin(), scales.bytes.end());
  codes.bytes.insert(codes.bytes.end(), minima.bytes.begin(), minima.bytes.end());
  return codes.bytes;
}
/// KIVI's keys, a tile of rows [tokens, channels]: each channel is a group over the tokens; word w of all channels
/// comes before word w + 1, then come scales and minima.
[[nodiscard]] inline std::vector<unsigned char> kivi_keys(std::span<float const> x, int bits, std::size_t channels) {
  auto const all = scaled_row(x);
  std::size_t const tokens = all.size() / channels, of_channel = tokens * static_cast<std::size_t>(bits) / 8;
  written scales, minima;
  std::vector<unsigned char> bytes(of_channel * channels);
  for (std::size_t c = 0; c < channels; ++c) {
    std::vector<double> column;
    for (std::size_t t = 0; t < tokens; ++t) column.push_back(all[t * channels + c]);
    affine_block const b = by_range(column, (1 << bits) - 1, true);
    scales.put(f16_bits(b.scale), 2);
    minima.put(f16_bits(b.least), 2);
    written own;
    own.put_codes(b.code, bits);
    for (std::size_t i = 0; i < of_channel; ++i) bytes[(i / 4 * channels + c) * 4 + i % 4] = own.bytes[i];
  }
  bytes.insert(bytes.end(), scales.bytes.begin(), scales.bytes.end());
  bytes.insert(bytes.end(), minima.bytes.begin(), minima.bytes.end());
  return bytes;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
