// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// Tokens that stay whatever their score: the first `sink`, the last `recent`, and those listed.
struct forced_tokens {
  int sink = 0;                       ///< first tokens
  int recent = 0;                     ///< last tokens
  std::span<int const> white_list{};  ///< token indices, in any order
};

/// Why a token stays, the weakest reason first; a token with several reasons has the strongest.
enum class reason { score, recent, sink, white_list };

/// The reason of one token out of `tokens`.
[[nodiscard]] inline reason reason_of(int token, int tokens, forced_tokens const& forced) {
  if (std::find(forced.white_list.begin(), forced.white_list.end(), token) != forced.white_list.end())
    return reason::white_list;
  if (token < forced.sink) return reason::sink;
  if (token >= tokens - forced.recent) return reason::recent;
  return reason::score;
}

/// The `keep` of several things that stay, ascending, when thing i stays for the reason why[i]. Forced ones come before
/// all others; where `keep` is smaller than their number the recent ones go first (the oldest first), then the sinks
/// (the last first), then the white list (the largest index first). The others stay by score, the largest first and the
/// smaller index where scores are equal; NaN ranks below -inf.
[[nodiscard]] inline std::vector<int> best(std::span<double const> score, int keep, std::span<reason const> why) {
  int const things = static_cast<int>(score.size());
  auto const goes_before = [&](int a, int b) {
    reason const of_a = why[static_cast<std::size_t>(a)], of_b = why[static_cast<std::size_t>(b)];
    if (of_a != of_b) return of_a > of_b;
    if (of_a == reason::recent) return a > b;
    if (of_a != reason::score) return a < b;
    double const x = score[static_cast<std::size_t>(a)], y = score[static_cast<std::size_t>(b)];
    if (std::isnan(x) != std::isnan(y)) return std::isnan(y);
    if (!std::isnan(x) && x != y) return x > y;
    return a < b;
  };
  std::vector<int> order;
  for (int t = 0; t < things; ++t) order.push_back(t);
  std::sort(order.begin(), order.end(), goes_before);
  order.resize(static_cast<std::size_t>(std::clamp(keep, 0, things)));
  std::sort(order.begin(), order.end());
  return order;
}

/// The reason of every token.
[[nodiscard]] inline std::vector<reason> reasons(int tokens, forced_tokens const& forced) {
  std::vector<reason> why;
  for (int t = 0; t < tokens; ++t) why.push_back(reason_of(t, tokens, forced));
  return why;
}

/// The `keep` tokens that stay, ascending.
[[nodiscard]] inline std::vector<int> top_k(std::span<double const> score, int keep, forced_tokens const& forced = {}) {
  return best(score, keep, reasons(static_cast<int>(score.size()), forced));
}

/// Top-k inside each of `count` partitions of `length` tokens from `begin` on, `keep` of each; all other tokens stay.
[[nodiscard]] inline std::vector<int> top_k_in_partitions(std::span<double const> score, int begin, int length,
                                                          int count, int keep) {
  std::vector<int> kept;
  for (int t = 0; t < begin; ++t) kept.push_back(t);
  for (int p = 0; p < count; ++p) {
    int const first = begin + p * length;
    for (int const i : top_k(score.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(length)), keep))
      kept.push_back(first + i);
  }
  for (int t = begin + count * length; t < static_cast<int>(score.size()); ++t) kept.push_back(t);
  return kept;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
