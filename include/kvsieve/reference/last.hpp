// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <span>

namespace kvsieve::inline v0 {
namespace reference {

/// score[t] = p of the last observed query, as TOVA (arXiv 2401.06104) takes it.
/// `p` holds observed * tokens probabilities, `score` tokens.
inline void last(std::span<double const> p, int observed, std::span<double> score) {
  std::size_t const row = static_cast<std::size_t>(observed) - 1;
  for (std::size_t t = 0; t < score.size(); ++t) score[t] = p[row * score.size() + t];
}
}  // namespace reference
}  // namespace kvsieve::inline v0
