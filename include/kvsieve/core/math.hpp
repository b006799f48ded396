// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Small numeric definitions that host, device and reference share.
#pragma once
#include <cuda/std/bit>
#include <cuda/std/cstdint>

#include <kvsieve/core/config.hpp>

namespace kvsieve::inline v0 {

/// A total order on scores as unsigned integers: NaN lowest (0), then -inf, ... , +inf (0xff800000); -0 equals +0.
/// The values above 0xff800000 belong to no score: forced tokens use them.
[[nodiscard]] KVSIEVE_HD constexpr unsigned ordered(float x) {
  if (x != x) return 0u;
  unsigned const u = ::cuda::std::bit_cast<unsigned>(x + 0.0f);
  return (u & 0x80000000u) != 0 ? ~u : u | 0x80000000u;
}
/// The score that has that key, but for the sign of zero and the bits of NaN.
[[nodiscard]] KVSIEVE_HD constexpr float score_of(unsigned key) {
  return ::cuda::std::bit_cast<float>((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
}
/// The key of the mean of `n` scores with this sum, of which the lowest has the key `lowest`. Where +inf and -inf meet
/// it is that of -inf: means of what lies at the same place of sorted rows descend.
[[nodiscard]] KVSIEVE_HD constexpr unsigned key_of_mean(double sum, unsigned lowest, int n) {
  if (lowest == 0) return 0;
  return ordered(sum == sum ? static_cast<float>(sum / n) : -__builtin_inff());
}
/// The key of a token that has to stay, above every score.
inline constexpr unsigned forced_key = 0xffffffffu;

/// Mixes 64 bits into 64 bits, each output bit depending on each input bit (the finaliser of SplitMix64).
[[nodiscard]] KVSIEVE_HD constexpr ::cuda::std::uint64_t mix(::cuda::std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ x >> 27) * 0x94d049bb133111ebull;
  return x ^ x >> 31;
}

/// How many numbers of an ascending list are below one.
[[nodiscard]] KVSIEVE_HD constexpr int count_below(int const* list, int count, int number) {
  int from = 0, to = count;
  while (from < to) {
    int const middle = from + (to - from) / 2;
    if (list[middle] < number)
      from = middle + 1;
    else
      to = middle;
  }
  return from;
}

/// Rounds `n` up to a multiple of `step`.
template <class T>
[[nodiscard]] KVSIEVE_HD constexpr T round_up(T n, T step) {
  return (n + step - 1) / step * step;
}

/// Rows of scores of a view lie this many floats apart.
[[nodiscard]] KVSIEVE_HD constexpr ::cuda::std::int64_t score_stride(::cuda::std::int64_t tokens) {
  return round_up<::cuda::std::int64_t>(tokens, 16);
}
}  // namespace kvsieve::inline v0
