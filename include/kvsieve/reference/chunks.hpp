// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/top_k.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// The tokens of the `keep` best pieces of `length` tokens, the last one maybe shorter. A piece has the mean of its
/// finite scores, rounded to float (NaN where it has none), and the strongest reason of its tokens.
[[nodiscard]] inline std::vector<int> best_pieces(std::span<double const> score, std::span<reason const> why,
                                                  int length, int keep) {
  int const tokens = static_cast<int>(score.size());
  std::vector<double> means;
  std::vector<reason> strongest;
  for (int begin = 0; begin < tokens; begin += length) {
    double sum = 0, count = 0;
    reason most = reason::score;
    for (int t = begin; t < std::min(begin + length, tokens); ++t) {
      auto const i = static_cast<std::size_t>(t);
      if (std::isfinite(score[i])) sum += score[i], count += 1;
      most = std::max(most, why[i]);
    }
    double const none = std::numeric_limits<double>::quiet_NaN();
    means.push_back(count > 0 ? static_cast<double>(static_cast<float>(sum / count)) : none);
    strongest.push_back(most);
  }
  std::vector<int> kept;
  for (int const piece : best(means, keep, strongest))
    for (int t = piece * length; t < std::min((piece + 1) * length, tokens); ++t) kept.push_back(t);
  return kept;
}

/// Whole chunks: of c chunks max(1, floor(c * keep)), as kvpress's ChunkKV counts (arXiv 2502.00299); a row shorter
/// than a chunk keeps its best floor(N * keep) tokens.
[[nodiscard]] inline std::vector<int> chunks(std::span<double const> score, int length, double keep,
                                             forced_tokens const& forced = {}) {
  int const tokens = static_cast<int>(score.size());
  if (tokens < length) return top_k(score, static_cast<int>(std::floor(tokens * keep)), forced);
  int const count = (tokens + length - 1) / length;
  return best_pieces(score, reasons(tokens, forced), length, std::max(1, static_cast<int>(std::floor(count * keep))));
}
}  // namespace reference
}  // namespace kvsieve::inline v0
