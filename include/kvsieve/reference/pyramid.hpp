// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cmath>

namespace kvsieve::inline v0 {
namespace reference {

/// Tokens that each head of layer `layer` keeps, PyramidKV as kvpress 0.5.5 has it (arXiv 2406.02069): `mean` tokens on
/// average (not rounded), beta, the score's window; Python's round() is half to even, as nearbyint() is here. One
/// layer: the mean, where the source divides by zero.
[[nodiscard]] inline int pyramid(double mean, double beta, int window, int layers, int layer, int tokens) {
  double least = mean / beta;
  double most = mean * 2 - least;
  if (most >= tokens - window) {
    most = tokens - window;
    least = mean * 2 - most;
  }
  if (layers < 2 || !(tokens >= most && most >= least && least >= window))
    return static_cast<int>(std::nearbyint(mean));
  double const step = (most - least) / (layers - 1);
  double const volatile below = layer * step;  // rounded by itself, as an interpreter does
  return static_cast<int>(std::nearbyint(most - below));
}

/// The same as KVCache-Factory has it, in integers: `cap` tokens on average, the window among them. Its ranges are cut
/// to [0, tokens], and one layer gets cap.
[[nodiscard]] inline int pyramid_floor(long cap, long beta, int window, int layers, int layer, int tokens) {
  long const base = cap - window, past = tokens - window;
  if (tokens < cap) return tokens;
  if (tokens < 2 * base || base <= 0 || layers < 2) return static_cast<int>(cap);
  long least = base / beta, most = 2 * base - least;
  if (most >= past) {
    most = past;
    least = 2 * base - past;
  }
  long const step = static_cast<long>(std::floor(static_cast<double>(most - least) / (layers - 1)));
  return static_cast<int>(most - layer * step + window);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
