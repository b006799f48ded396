// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <cuda/std/cstdint>

#include <kvsieve/core/math.hpp>
#include <kvsieve/reference/top_k.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Gumbel noise of a token of head `head`, from a seed: -log(-log u), u the middle of one of 2^53 parts of (0, 1).
[[nodiscard]] inline double gumbel_noise(::cuda::std::uint64_t seed, int head, int token) {
  ::cuda::std::uint64_t const of_head = mix(seed ^ mix(static_cast<::cuda::std::uint64_t>(head)));
  ::cuda::std::uint64_t const bits = mix(of_head + static_cast<::cuda::std::uint64_t>(token));
  double const u = (static_cast<double>(bits >> 11) + 0.5) / 9007199254740992.0;
  return -std::log(-std::log(u));
}

/// Forced tokens, then the best scores, then `drawn` share (rounded down) of what the budget has behind the forced
/// ones: those of the others with the largest score / temperature + noise, rounded to float. Drawing without
/// replacement with probabilities softmax(score / temperature) (NACL, arXiv 2408.03675).
[[nodiscard]] inline std::vector<int> gumbel(std::span<double const> score, int keep, double drawn, double temperature,
                                             ::cuda::std::uint64_t seed, int head, forced_tokens const& forced = {}) {
  int const tokens = static_cast<int>(score.size());
  int forced_count = 0;
  for (reason const r : reasons(tokens, forced)) forced_count += r != reason::score;
  int const draws = static_cast<int>(std::floor(std::max(0, keep - forced_count) * drawn));
  std::vector<int> kept = top_k(score, keep - draws, forced);
  std::vector<double> noisy;
  for (int t = 0; t < tokens; ++t)
    noisy.push_back(static_cast<float>(score[static_cast<std::size_t>(t)] / temperature + gumbel_noise(seed, head, t)));
  return top_k(noisy, keep, {0, 0, kept});
}
}  // namespace reference
}  // namespace kvsieve::inline v0
