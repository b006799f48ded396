// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Numbers as the bytes of a file, little-endian on any machine, and sums and products that tell when they overflow.
#pragma once
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <kvsieve/core/encoded.hpp>

namespace kvsieve::inline v0 {
namespace io {

/// Reads an unsigned number of sizeof(T) bytes.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T load(byte const* from) noexcept {
  T x = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) x = static_cast<T>(x | static_cast<T>(T{from[i]} << (8 * i)));
  return x;
}
/// Writes an unsigned number as sizeof(T) bytes.
template <std::unsigned_integral T>
constexpr void store(byte* to, T x) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i) to[i] = static_cast<byte>(x >> (8 * i) & 255u);
}

/// Adds without wrapping around; false when the sum does not fit, `to` is then left alone.
[[nodiscard]] constexpr bool add(std::uint64_t a, std::uint64_t b, std::uint64_t& to) noexcept {
  if (a > UINT64_MAX - b) return false;
  to = a + b;
  return true;
}
/// Multiplies without wrapping around; false when the product does not fit, `to` is then left alone.
[[nodiscard]] constexpr bool multiply(std::uint64_t a, std::uint64_t b, std::uint64_t& to) noexcept {
  if (a != 0 && b > UINT64_MAX / a) return false;
  to = a * b;
  return true;
}

/// A checksum over bytes as they come. Default-constructed it has seen none.
/// - `name`: at most 8 characters that say in a file which it is, "XXH3_64";
/// - `update(bytes, count)`; `digest()`, of all that came so far.
template <class H>
concept checksum = std::default_initializable<H> && requires(H h, H const& seen, byte const* bytes, std::size_t count) {
  { H::name } -> std::convertible_to<std::string_view>;
  h.update(bytes, count);
  { seen.digest() } -> std::same_as<std::uint64_t>;
};
}  // namespace io
}  // namespace kvsieve::inline v0
