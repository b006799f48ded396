// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Codes of a block of 32 finite numbers, as 32 bytes: what is rounded twice here is rounded twice by every compiler, so
// that codes at halves are the same.
#pragma once
#include <kvsieve/core/encoded.hpp>
#include <kvsieve/core/fragment_pack.hpp>

namespace kvsieve::inline v0 {
namespace encode {

namespace detail {
/// Writes what of(fragment) gives of each number of a block.
template <class Of>
KVSIEVE_INLINE KVSIEVE_HD void store_block(float const* x, byte* codes, Of const& of) {
  host::fragment::mask c[host::fragments_of_32];
  KVSIEVE_UNROLL for (int f = 0; f < host::fragments_of_32; ++f) c[f] = of(host::load(x + f * host::fragment::lanes));
  host::store_bytes(codes, c);
}
}  // namespace detail

/// trunc((x - least) * inverse + 1/2) of 32 numbers that are at least `least`.
KVSIEVE_INLINE KVSIEVE_HD void codes_above(float const* x, float least, float inverse, byte* codes) {
  host::fragment const from(least), by(inverse), half(0.5f);
  detail::store_block(x, codes, [&](host::fragment v) {
    return host::truncated(host::rounded((host::rounded(v) - from) * by) + half);
  });
}
/// (x - least) * inverse to the nearest integer, halves to even, of 32 numbers that are at least `least`.
KVSIEVE_INLINE KVSIEVE_HD void codes_above_even(float const* x, float least, float inverse, byte* codes) {
  host::fragment const from(least), by(inverse);
  detail::store_block(
      x, codes, [&](host::fragment v) { return host::truncated(host::nearest_even((host::rounded(v) - from) * by)); });
}
/// trunc(x * inverse + half + 1/2), at most 2 half - 1, of 32 numbers of magnitudes of at most half / inverse.
KVSIEVE_INLINE KVSIEVE_HD void codes_around(float const* x, float inverse, int half, byte* codes) {
  host::fragment const by(inverse), up(static_cast<float>(half) + 0.5f);
  host::fragment::mask c[host::fragments_of_32];
  KVSIEVE_UNROLL for (int f = 0; f < host::fragments_of_32; ++f) c[f] =
      host::truncated(host::rounded(host::load(x + f * host::fragment::lanes) * by) + up);
  host::store_bytes(codes, c, 2 * half - 1);
}
/// x * inverse + half + 1/2 of each lane, below 2 half.
[[nodiscard]] KVSIEVE_INLINE KVSIEVE_HD host::fragment around(host::fragment x, host::fragment inverse, int half) {
  host::fragment const most(static_cast<float>(half - 1)), up(static_cast<float>(half) + 0.5f);
  return host::rounded(min(most, x * inverse)) + up;
}
/// trunc(x * inverse + half + 1/2), from 0 to 2 half - 1, of any 32 numbers.
KVSIEVE_INLINE KVSIEVE_HD void codes_within(float const* x, float inverse, int half, byte* codes) {
  host::fragment const by(inverse), least(0.0f);
  detail::store_block(x, codes, [&](host::fragment v) { return host::truncated(max(least, around(v, by, half))); });
}
/// x * inverse to the nearest integer, halves away from zero, of 32 numbers; as signed bytes. It counts half steps and
/// goes on in integers.
KVSIEVE_INLINE KVSIEVE_HD void codes_signed(float const* x, float inverse, byte* codes) {
  host::fragment const by(2.0f * inverse);
  host::fragment::mask c[host::fragments_of_32];
  KVSIEVE_UNROLL for (int f = 0; f < host::fragments_of_32; ++f) c[f] =
      host::truncated(host::load(x + f * host::fragment::lanes) * by);
  host::store_half_bytes(codes, c);
}

/// Calls block(numbers, where their codes go) for all of D numbers in blocks of 32; behind the last ones come zeros,
/// whose codes are not kept.
template <int D, class Block>
KVSIEVE_INLINE KVSIEVE_HD void in_blocks(float const* x, byte* codes, Block const& block) {
  constexpr int whole = D / 32 * 32, rest = D - whole;
  for (int first = 0; first < whole; first += 32) block(x + first, codes + first);
  if constexpr (rest > 0) {
    float last[32] = {};
    __builtin_memcpy(last, x + whole, rest * sizeof(float));
    byte code[32];
    block(static_cast<float const*>(last), code);
    __builtin_memcpy(codes + whole, code, rest);
  }
}
}  // namespace encode
}  // namespace kvsieve::inline v0
