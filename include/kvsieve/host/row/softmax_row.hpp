// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The exponentials of a row of logits, for scores that are made of a softmax along the tokens.
#pragma once
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Replaces logits [first, last) by exp(scale (z - largest)), and returns their sum. What is not finite becomes 0; 0
/// when nothing is finite.
inline double exponentials_of_row(float* z, index first, index last, float scale) {
  constexpr int lanes = fragment::lanes;
  float most = -__builtin_inff();
  for (index t = first; t < last; ++t) most = finite(z[t]) && most < z[t] ? z[t] : most;
  fragment const factor(scale * 1.4426950408889634f), largest(most);
  double total = 0;
  for (index t = first; t < last; t += lanes) {
    float part[lanes];
    int const count = static_cast<int>(last - t < lanes ? last - t : lanes);
    for (int i = 0; i < lanes; ++i) part[i] = i < count && finite(z[t + i]) ? z[t + i] : -__builtin_inff();
    store(part, exp2((load(part) - largest) * factor));
    for (int i = 0; i < count; ++i) {
      z[t + i] = part[i];
      total += static_cast<double>(part[i]);
    }
  }
  return total;
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
