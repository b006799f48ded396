// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <span>

#include <kvsieve/reference/sum.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = sum over the observed queries of p[i * tokens + t], divided by how many of them could see token t:
/// kvpress's observed attention. `p` holds observed * tokens probabilities, `score` tokens.
inline void mean_visible(std::span<double const> p, int observed, std::span<double> score) {
  sum(p, observed, score);
  for (std::size_t t = 0; t < score.size(); ++t)
    score[t] /= static_cast<double>(std::min(static_cast<std::size_t>(observed), score.size() - t));
}
}  // namespace reference
}  // namespace kvsieve::inline v0
