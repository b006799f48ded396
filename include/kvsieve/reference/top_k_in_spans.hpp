// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/top_k_in_chunks.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Shares of `budget` in proportion to spans of `size` tokens, fractions cut, what is left one each to the largest
/// fractions, the earlier span where they are equal. A span whose share is less than `forced` takes these and leaves
/// the others to share the rest.
[[nodiscard]] inline std::vector<int> fair_quotas(std::vector<int> const& size, std::vector<int> const& forced,
                                                  int budget) {
  std::vector<int> quota(size.size(), 0);
  std::vector<bool> settled(size.size(), false);
  for (bool again = true; again;) {
    long long total = 0, left = budget;
    for (std::size_t i = 0; i < size.size(); ++i) settled[i] ? void(left -= quota[i]) : void(total += size[i]);
    std::vector<std::size_t> order;
    long long rest = left;
    for (std::size_t i = 0; i < size.size(); ++i) {
      if (settled[i]) continue;
      quota[i] = static_cast<int>(left * size[i] / total);
      rest -= quota[i];
      order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return left * size[a] % total > left * size[b] % total; });
    for (std::size_t i = 0; i < order.size() && rest > 0; ++i, --rest) ++quota[order[i]];
    again = false;
    std::vector<std::size_t> raised;
    for (std::size_t const i : order)
      if (quota[i] < forced[i]) raised.push_back(i);
    for (std::size_t const i : raised) {
      quota[i] = forced[i];
      settled[i] = again = true;
    }
  }
  return quota;
}

/// Fair eviction (arXiv 2510.00231): the best of each span, in shares of the budget that are in proportion to the
/// spans. `begin` holds the first token of each span. Forced tokens are cut to the budget first.
[[nodiscard]] inline std::vector<int> top_k_in_spans(std::span<double const> score, std::span<int const> begin,
                                                     int budget, forced_tokens const& forced = {}) {
  int const tokens = static_cast<int>(score.size());
  auto const all = reasons(tokens, forced);
  int forced_count = 0;
  for (reason const r : all) forced_count += r != reason::score;
  if (forced_count > budget) return top_k(score, budget, forced);
  std::vector<int> size, own;
  for (std::size_t i = 0; i < begin.size(); ++i) {
    int const end = i + 1 < begin.size() ? begin[i + 1] : tokens;
    size.push_back(end - begin[i]);
    own.push_back(0);
    for (int t = begin[i]; t < end; ++t) own.back() += all[static_cast<std::size_t>(t)] != reason::score;
  }
  return top_k_of_each(score, begin, fair_quotas(size, own, budget), forced);
}
}  // namespace reference
}  // namespace kvsieve::inline v0
