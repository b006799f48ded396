// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What happens to rows of scores between the scorer and the selection: joining heads, pooling, marking forced tokens.
#pragma once
#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/views.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Every row of the layer becomes the mean over its heads; rows lie `stride` floats apart.
inline void join_heads(float* rows, index heads, index stride, index tokens) {
  for (index t = 0; t < tokens; ++t) {
    float sum = 0;
    for (index h = 0; h < heads; ++h) sum += rows[h * stride + t];
    float const mean = sum / static_cast<float>(heads);
    for (index h = 0; h < heads; ++h) rows[h * stride + t] = mean;
  }
}

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
