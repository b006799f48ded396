// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

#include <kvsieve/reference/sum.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = mean over the observed queries of p[i * tokens + t], SnapKV (arXiv 2404.14469).
/// `p` holds observed * tokens probabilities, `score` tokens.
inline void mean(std::span<double const> p, int observed, std::span<double> score) {
  sum(p, observed, score);
  for (double& s : score) s /= observed;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
