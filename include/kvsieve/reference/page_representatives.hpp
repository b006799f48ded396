// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <kvsieve/reference/pages.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Whole pages as pages() keeps them, of which floor(pages beside the newest * share) are representatives (KVCrush): of
/// the pages that would go, ordered by the bits in which they differ from the anchor, those at equal steps. A token's
/// bit is 1 in the upper half, rounded down, of the scores of all pages without forced tokens before the newest.
/// `anchor(place, ones, pages)` gives a bit of the anchor, where `ones` of these pages have a 1 at the place.
template <class Anchor>
[[nodiscard]] std::vector<int> page_representatives(std::span<double const> score, int page, int budget, double share,
                                                    Anchor const& anchor, forced_tokens const& forced = {}) {
  int const tokens = static_cast<int>(score.size());
  int newest = 0;
  while (newest + page < tokens) newest += page;
  int fit = 0;
  while (newest > fit * page && tokens - newest + (fit + 1) * page <= budget) ++fit;
  auto const why = reasons(tokens, forced);
  std::vector<int> open;  // pages without forced tokens
  int closed = 0;
  for (int begin = 0; begin < newest; begin += page) {
    bool const any =
        std::any_of(why.begin() + begin, why.begin() + begin + page, [](reason r) { return r != reason::score; });
    any ? void(++closed) : open.push_back(begin / page);
  }
  int const representatives =
      std::max(0, std::min(static_cast<int>(std::floor(fit * share)), fit - std::min(closed, fit)));
  auto const before = static_cast<std::size_t>(newest);
  auto kept = best_pieces(score.first(before), std::span(why).first(before), page, fit - representatives);

  std::vector<double> of_open;
  for (int const p : open)
    for (int t = 0; t < page; ++t) of_open.push_back(score[static_cast<std::size_t>(p * page + t)]);
  std::vector<reason> const none(of_open.size(), reason::score);
  std::vector<int> bit(of_open.size());
  for (int const i : best(of_open, static_cast<int>(of_open.size() / 2), none)) bit[static_cast<std::size_t>(i)] = 1;
  std::vector<std::pair<int, int>> go;  // distance, page
  for (std::size_t i = 0; i < open.size(); ++i) {
    if (std::find(kept.begin(), kept.end(), open[i] * page) != kept.end()) continue;
    int distance = 0;
    for (int place = 0; place < page; ++place) {
      int ones = 0;
      for (std::size_t k = 0; k < open.size(); ++k)
        ones += bit[k * static_cast<std::size_t>(page) + static_cast<std::size_t>(place)];
      distance += static_cast<int>(anchor(place, ones, static_cast<int>(open.size()))) !=
                  bit[i * static_cast<std::size_t>(page) + static_cast<std::size_t>(place)];
    }
    go.emplace_back(distance, open[i]);
  }
  std::sort(go.begin(), go.end());
  for (int i = 0; i < representatives; ++i) {
    auto const step = go.size() / static_cast<std::size_t>(representatives);
    for (int t = 0; t < page; ++t) kept.push_back(go[static_cast<std::size_t>(i) * step].second * page + t);
  }
  for (int t = newest; t < tokens; ++t) kept.push_back(t);
  std::sort(kept.begin(), kept.end());
  return kept;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
