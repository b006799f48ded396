// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// CaM, one head: as kvpress runs it while decoding, and as KVCache-Factory does behind the prompt.
#pragma once
#include <cmath>
#include <span>
#include <vector>

#include <kvsieve/core/math.hpp>
#include <kvsieve/reference/merge.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// clamp(own / other, 0, 1), 0 for NaN.
[[nodiscard]] inline double spread_probability(double own, double other) {
  double const p = own / other;
  return p > 1 ? 1 : p > 0 ? p : 0;
}

/// The candidates of a head, ascending: the `count` evicted tokens of the largest scores, of equal ones the last.
[[nodiscard]] inline std::vector<int> cam_candidates(head_to_merge const& h, std::span<double const> score, int count) {
  std::vector<int> list = h.evicted;
  auto const key = [&](int t) { return ordered(static_cast<float>(score[static_cast<std::size_t>(t)])); };
  std::sort(list.begin(), list.end(), [&](int a, int b) { return key(a) != key(b) ? key(a) > key(b) : a > b; });
  if (static_cast<std::size_t>(count) < list.size()) list.resize(static_cast<std::size_t>(count));
  std::sort(list.begin(), list.end());
  return list;
}

/// Each candidate i adds z V_i / n to the first `followers` kept tokens behind it, n of them; `spread(i, p)` is z, p
/// being the clamped ratio of its attention to their mean.
template <class Spread>
[[nodiscard]] merged_head cam(head_to_merge const& h, std::span<int const> candidates,
                              std::span<double const> attention, int followers, Spread const& spread) {
  merged_head m = keep_rows(h);
  for (int const i : candidates) {
    std::vector<std::size_t> window;
    for (std::size_t j = 0; j < h.kept.size() && window.size() < static_cast<std::size_t>(followers); ++j)
      if (h.kept[j] > i) window.push_back(j);
    if (window.empty() || !usable(h.value(i))) continue;
    double sum = 0;
    for (std::size_t const j : window) sum += attention[static_cast<std::size_t>(h.kept[j])];
    double const n = static_cast<double>(window.size());
    double const z = spread(i, spread_probability(attention[static_cast<std::size_t>(i)], sum / n));
    for (std::size_t const j : window)
      for (std::size_t d = 0; d < m.values[j].size(); ++d)
        if (z > 0) m.values[j][d] += z * h.value(i)[d] / n;
  }
  return m;
}

/// All values of a head after each token p in [ceil(start N), N - window) has added z V_p / window to the `window`
/// tokens behind it, in order; p's clamped ratio is to the most attention of the tokens before `start` and of
/// [p, p + window).
template <class Spread>
[[nodiscard]] rows_of_head cam_prefill(rows_of_head values, std::span<double const> attention, double start, int window,
                                       Spread const& spread) {
  int const tokens = static_cast<int>(values.size()), first = static_cast<int>(std::ceil(start * tokens));
  for (int p = first; p + window < tokens; ++p) {
    double most = 0;
    for (int t = 0; t < tokens; ++t)
      if (t < first || (t >= p && t < p + window)) most = std::max(most, attention[static_cast<std::size_t>(t)]);
    double const z = spread(p, spread_probability(attention[static_cast<std::size_t>(p)], most));
    auto const own = values[static_cast<std::size_t>(p)];
    bool numbers = z > 0;
    for (double const x : own) numbers = numbers && std::isfinite(x);
    for (int t = p + 1; t <= p + window && numbers; ++t)
      for (std::size_t d = 0; d < own.size(); ++d) values[static_cast<std::size_t>(t)][d] += z * own[d] / window;
  }
  return values;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
