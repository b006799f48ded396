// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Positive scores as whole numbers: these add up to the same in any order, on the host and on the device.
#pragma once
#include <cuda/std/bit>
#include <cuda/std/cstdint>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {

/// What scores are counted in: a power of 2, so small that the sum of all of them just fits. What is left of a score is
/// cut, and one far below the largest counts as 0.
struct mass_unit {
  double per_score = 0;  ///< units of 1

  /// The unit of n scores of which the largest finite one has these bits, not 0.
  [[nodiscard]] KVSIEVE_HD static constexpr mass_unit of(unsigned largest, ::cuda::std::int64_t n) {
    int bits = 63, exponent = static_cast<int>(largest >> 23);
    for (; n > 1; n = (n + 1) / 2) --bits;
    exponent = exponent < 1 ? 1 : exponent;  // the largest lies below 2^(exponent - 126)
    ::cuda::std::int64_t const of_unit = ::cuda::std::int64_t{bits} - exponent + 126 + 1023;
    return {::cuda::std::bit_cast<double>(of_unit << 52)};
  }
  /// A finite score of these bits, positive or 0, in whole units.
  [[nodiscard]] KVSIEVE_HD constexpr ::cuda::std::int64_t of_bits(unsigned score) const {
    return static_cast<::cuda::std::int64_t>(static_cast<double>(::cuda::std::bit_cast<float>(score)) * per_score);
  }
};

/// The least whole mass that is not below `share` of `sum`, at most all of it.
[[nodiscard]] KVSIEVE_HD constexpr ::cuda::std::int64_t share_of_mass(double share, ::cuda::std::int64_t sum) {
  double const wanted = share * static_cast<double>(sum);
  if (!(wanted > 0)) return 0;
  if (!(wanted < static_cast<double>(sum))) return sum;
  auto const cut = static_cast<::cuda::std::int64_t>(wanted);
  return static_cast<double>(cut) < wanted ? cut + 1 : cut;
}

/// Of `ties` equal scores of mass `each` > 0 behind a mass of `before`: how many of their running sums lie below
/// `wanted`. @pre before < wanted
[[nodiscard]] KVSIEVE_HD constexpr ::cuda::std::int64_t ties_below(::cuda::std::int64_t wanted,
                                                                   ::cuda::std::int64_t before,
                                                                   ::cuda::std::int64_t each,
                                                                   ::cuda::std::int64_t ties) {
  ::cuda::std::int64_t const below = (wanted - before - 1) / each;
  return below < ties ? below : ties;
}
}  // namespace kvsieve::inline v0
