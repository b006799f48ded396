// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ascending ranks by counting: no branches, no sort, for a partition of a few hundred tokens.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Bits of NaN and of padding, behind those of every number. Floats that are not negative compare like their bits.
inline constexpr int behind_all = 0x7fffffff;

#if KVSIEVE_HOST_VECTORS
/// Writes ranks of `held` vectors of x from `begin` on, counting what is smaller among all `padded` ones: a broadcast
/// serves all of them. Equal values get equal ranks. Returns the sum of the counts.
template <int held>
index rank_distinct(float const* x, index padded, index n, index begin, float* out) {
  using ints = fragment::mask;
  constexpr int lanes = fragment::lanes;
  ints mine[held], below[held];
  KVSIEVE_UNROLL for (int v = 0; v < held; ++v) {
    mine[v] = (ints)load(x + begin + v * lanes).v;
    below[v] = ints{};
  }
  for (index j = 0; j < padded; ++j) {
    ints const b = (ints)fragment(x[j]).v;
    // With AVX-512 a comparison gives a mask to add under, else a number to subtract.
    KVSIEVE_UNROLL for (int v = 0; v < held; ++v) {
      if constexpr (lanes == 16)
        below[v] = b < mine[v] ? below[v] + 1 : below[v];
      else
        below[v] -= (ints)(b < mine[v]);
    }
  }
  ints sum{};
  KVSIEVE_UNROLL for (int v = 0; v < held; ++v) {
    auto const number = mine[v] < behind_all;
    sum += number ? below[v] : ints{};
    fragment const count((fragment::vector) __builtin_convertvector(below[v], fragment::vector));
    fragment const r =
        where((fragment::mask)number, count / fragment(static_cast<float>(n)), fragment(__builtin_nanf("")));
    index const at = begin + v * lanes;
    __builtin_memcpy(out + at, &r.v, sizeof(float) * static_cast<std::size_t>(n - at < lanes ? n - at : lanes));
  }
  index all = 0;
  for (int i = 0; i < lanes; ++i) all += sum[i];
  return all;
}

/// The same where values may be equal: of those, the first ones count as smaller.
inline void rank_stable(float const* x, index padded, index n, float* out) {
  using ints = fragment::mask;
  constexpr int lanes = fragment::lanes;
  auto const all = [x](index i) { return (ints)fragment(x[i]).v; };
  ints id;
  for (int i = 0; i < lanes; ++i) id[i] = i;
  for (index block = 0; block < n; block += lanes) {
    ints const mine = (ints)load(x + block).v;
    ints below{};
    for (index j = 0; j < block; ++j) below -= (ints)(all(j) <= mine);
    for (int j = 0; j < lanes; ++j) {
      ints const b = all(block + j);
      below -= (ints)(b < mine) | ((ints)(b == mine) & (ints)(j < id));
    }
    for (index j = block + lanes; j < padded; ++j) below -= (ints)(all(j) < mine);
    for (int i = 0; i < lanes && block + i < n; ++i)
      out[block + i] =
          mine[i] != behind_all ? static_cast<float>(below[i]) / static_cast<float>(n) : __builtin_nanf("");
  }
}
#endif
}  // namespace detail

/// out[i] = rank of x[i] / n, ranks ascending from 0, equal values in their order. x is not negative, or NaN: a NaN
/// gives NaN and takes no rank. x up to a multiple of `lanes` is overwritten.
inline void rank(float* x, index n, float* out) {
#if KVSIEVE_HOST_VECTORS
  constexpr int lanes = fragment::lanes, held = lanes == 16 ? 8 : 4;
  index const padded = round_up<index>(n, lanes);
  fragment const behind(cs::bit_cast<float>(detail::behind_all));
  for (index i = n; i < padded; ++i) x[i] = __builtin_nanf("");
  index numbers = 0;
  for (index i = 0; i < padded; i += lanes) {
    fragment const y = load(x + i);
    store(x + i, where(y == y, y, behind));
  }
  index counted = 0, i = 0;
  for (; i + held * lanes <= padded; i += held * lanes) counted += detail::rank_distinct<held>(x, padded, n, i, out);
  for (; i + held / 2 * lanes <= padded; i += held / 2 * lanes)
    counted += detail::rank_distinct<held / 2>(x, padded, n, i, out);
  for (; i < padded; i += lanes) counted += detail::rank_distinct<1>(x, padded, n, i, out);
  // Distinct numbers have the ranks 0, 1, ...; equal ones fall short of their sum.
  for (index j = 0; j < n; ++j) numbers += cs::bit_cast<int>(x[j]) != detail::behind_all;
  if (counted != numbers * (numbers - 1) / 2) detail::rank_stable(x, padded, n, out);
#else
  auto const bits = [](float f) { return f == f ? cs::bit_cast<int>(f) : detail::behind_all; };
  for (index i = 0; i < n; ++i) {
    int const mine = bits(x[i]);
    int count = 0;
    for (index j = 0; j < n; ++j) count += bits(x[j]) < mine || (bits(x[j]) == mine && j < i);
    out[i] = x[i] == x[i] ? static_cast<float>(count) / static_cast<float>(n) : __builtin_nanf("");
  }
#endif
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
