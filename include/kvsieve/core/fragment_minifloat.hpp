// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Magnitudes of floats of 8 and 4 bits (core/minifloat.hpp) of each lane of a fragment.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/minifloat.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Magnitudes of numbers in a small format of floats, as bits: what minifloat_bits gives of limited(x, most).
template <int Mantissa, int Least>
KVSIEVE_INLINE KVSIEVE_HD fragment::mask minifloats(fragment x, float most) {
#if KVSIEVE_HOST_VECTORS
  using mask = fragment::mask;
  fragment const size = min(fragment(most), max(fragment(0.0f), fragment{(fragment::vector)((mask)x.v & 0x7fffffff)}));
  // The power of two below a number says how large steps are there. A power whose last bit is one of them, added,
  // rounds to steps, and its bits count them.
  constexpr int cut = 23 - Mantissa, smallest = (127 + Least) << 23;
  mask const own = (mask)size.v & 0x7f800000, least = mask{} + smallest, power = own > least ? own : least;
  mask const up = power + (cut << 23);
  return (mask)(size.v + (fragment::vector)up) - up + (power >> cut) - (smallest >> cut);
#else
  fragment::mask r;
  for (int i = 0; i < fragment::lanes; ++i)
    r[i] = static_cast<int>(minifloat_bits<Mantissa, Least>(limited(x.v[i], most)));
  return r;
#endif
}
/// E2M1 magnitudes of numbers over steps, as bits. Numbers are of magnitudes below 7 steps, which are positive.
KVSIEVE_INLINE KVSIEVE_HD fragment::mask e2m1_codes(fragment x, fragment step) {
#if KVSIEVE_HOST_VECTORS
  using mask = fragment::mask;
  // Codes are numbers of steps of 1/2, 1 and 2 from 0, 1 and 2 on. Each line rounds to its steps, ties to even codes,
  // since the last bit of such a sum is 1, and lies above the others where another's steps are wider. Bits of such sums
  // order as they do, and more units compare integers.
  constexpr float round = 12582912.0f;  // 1.5 * 2^23
  auto const least = [](mask a, mask b) { return a < b ? a : b; };
  fragment const size = (fragment::vector)((mask)(x / step).v & 0x7fffffff);
  fragment const halves = fma(size, fragment(2.0f), fragment(round)), ones = size + fragment(round + 2),
                 twos = fma(size, fragment(0.5f), fragment(round + 4));
  return least(least((mask)halves.v, (mask)ones.v), (mask)twos.v) - cs::bit_cast<int>(round);
#else
  fragment::mask r;
  for (int i = 0; i < fragment::lanes; ++i) r[i] = static_cast<int>(to_e2m1(x.v[i] / step.v[i]) & 7u);
  return r;
#endif
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
