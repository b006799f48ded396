// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Ascending ranks by counting: no branches, no sort, for a partition of a few hundred tokens.
#pragma once
#include <cuda/std/bit>

#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// out[i] = rank of x[i] / n, ranks ascending from 0, equal values in their order. x is not negative, or NaN: a NaN
/// gives NaN and takes no rank. x up to a multiple of `lanes` is overwritten.
inline void rank(float* x, index n, float* out) {
  // Floats that are not negative compare like their bits. NaN and the padding rank behind everything.
  constexpr int last = 0x7fffffff;
  auto const bits = [](float f) { return f == f ? cs::bit_cast<int>(f) : last; };
#if KVSIEVE_HOST_VECTORS
  constexpr int lanes = fragment::lanes;
  for (index i = 0; i < round_up<index>(n, lanes); ++i) x[i] = cs::bit_cast<float>(i < n ? bits(x[i]) : last);
  auto const at = [x](index i) { return cs::bit_cast<int>(x[i]); };
  auto const all = [](int b) { return (fragment::mask)fragment(cs::bit_cast<float>(b)).v; };
  fragment::mask id;
  for (int i = 0; i < lanes; ++i) id[i] = i;
  for (index block = 0; block < n; block += lanes) {
    fragment::mask const mine = (fragment::mask)load(x + block).v;
    fragment::mask count{}, more{};
    // b < mine is -1 in a true lane; before this block equal ones count too, which b - 1 does.
    for (index j = 0; j < block; j += 2) {
      count += (fragment::mask)(all(at(j) - 1) < mine);
      more += (fragment::mask)(all(at(j + 1) - 1) < mine);
    }
    for (int j = 0; j < lanes; ++j) {
      fragment::mask const b = all(at(block + j));
      count += (fragment::mask)(b < mine) | ((fragment::mask)(b == mine) & (fragment::mask)(j < id));
    }
    for (index j = block + lanes; j < round_up<index>(n, lanes); j += 2) {
      count += (fragment::mask)(all(at(j)) < mine);
      more += (fragment::mask)(all(at(j + 1)) < mine);
    }
    count += more;
    for (int i = 0; i < lanes && block + i < n; ++i)
      out[block + i] =
          at(block + i) != last ? static_cast<float>(-count[i]) / static_cast<float>(n) : __builtin_nanf("");
  }
#else
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
