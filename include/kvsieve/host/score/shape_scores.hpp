// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What happens to rows of scores between the scorer and the selection: lift, pooling, scale, joining heads, marking
// forced tokens.
#pragma once
#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Joins the rows of a layer's heads, which lie `stride` floats apart, token by token.
template <class Heads>
void join_heads(float* rows, index heads, index stride, index tokens) {
  for (index t = 0; t < tokens; ++t) {
    float sum = 0;
    for (index h = 0; h < heads; ++h) sum += rows[h * stride + t];
    for (index h = 0; h < heads; ++h)
      rows[h * stride + t] = Heads::joined(rows[h * stride + t], sum, static_cast<int>(heads));
  }
}

/// Lifts tokens [0, n) of a row to their mean.
template <class Lift>
void lift_to_mean(float* row, index n) {
  double sum = 0;
  index count = 0;
  for (index t = 0; t < n; ++t)
    if (finite(row[t])) sum += static_cast<double>(row[t]), ++count;
  auto const mean = static_cast<float>(count == 0 ? 0.0 : sum / static_cast<double>(count));
  for (index t = 0; t < n; ++t) row[t] = Lift::lifted(row[t], mean);
}

/// Mean and standard deviation of the finite ones among tokens [0, n) of several rows, added up row by row.
struct layer_moments {
  float mean = 0, deviation = 0;
  static layer_moments of(float const* rows, index heads, index stride, index n) {
    double sum = 0, squares = 0, count = 0;
    auto const each = [&](auto const& f) {
      for (index h = 0; h < heads; ++h)
        for (index t = 0; t < n; ++t)
          if (float const x = rows[h * stride + t]; finite(x)) f(static_cast<double>(x));
    };
    each([&](double x) { sum += x, count += 1; });
    double const mean = count > 0 ? sum / count : 0;
    each([&](double x) { squares += (x - mean) * (x - mean); });
    return {static_cast<float>(mean), static_cast<float>(count > 1 ? __builtin_sqrt(squares / (count - 1)) : 0)};
  }
};

/// Pools tokens [0, n) of a row; `copy` has room for n floats.
template <class Smooth>
void pool(typename Smooth::params const& p, float* row, index n, float* copy) {
  for (index t = 0; t < n; ++t) copy[t] = row[t];
  for (index t = 0; t < n; ++t) row[t] = Smooth::pooled(p, copy, static_cast<int>(n), static_cast<int>(t));
}

/// Marks forced tokens with +inf, for whoever reads the scores; selection itself goes by the mask.
inline void mark_forced(float* row, forced_set const& f) {
  float const inf = __builtin_inff();
  for (index t = 0; t < f.sink && t < f.tokens; ++t) row[t] = inf;
  for (index t = f.recent < f.tokens ? f.tokens - f.recent : 0; t < f.tokens; ++t) row[t] = inf;
  for (int i = 0; i < f.white_count; ++i) row[f.white_list[i]] = inf;
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
