// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KVMerger, one head: runs of alike neighbours, each averaged with a Gaussian kernel around its pivot.
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <kvsieve/reference/merge.hpp>
#include <kvsieve/reference/top_k.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Sets of tokens that become one: protected ones, and maximal runs of the others whose neighbours have keys with a
/// cosine of at least `alike`.
struct token_runs {
  std::vector<std::vector<int>> sets;  ///< ascending
  std::vector<int> pivots;             ///< of each set: its token of the largest score, the smaller index of equal ones
};
/// The sets of a head; the `heavy` share of the highest scores and the forced tokens are protected. With
/// `count_of_sets` from 0 on, of all pairs that may be linked as many of the largest cosines are as leave that many
/// sets, whatever `alike`.
[[nodiscard]] inline token_runs runs_of(rows_of_head const& keys, std::span<double const> score, double alike,
                                        double heavy, forced_tokens const& forced, int count_of_sets = -1) {
  int const tokens = static_cast<int>(keys.size());
  std::vector<bool> safe(keys.size());
  int count = 0;
  for (int t = 0; t < tokens; ++t) {
    safe[static_cast<std::size_t>(t)] = reason_of(t, tokens, forced) != reason::score;
    count += safe[static_cast<std::size_t>(t)] ? 1 : 0;
  }
  int const keep = std::min(count + static_cast<int>(heavy * tokens), tokens);
  for (int const t : top_k(score, keep, forced)) safe[static_cast<std::size_t>(t)] = true;
  std::vector<int> pairs;  // by their second token
  for (int t = 1; t < tokens; ++t) {
    auto const i = static_cast<std::size_t>(t);
    if (!safe[i] && !safe[i - 1] && usable(keys[i]) && usable(keys[i - 1])) pairs.push_back(t);
  }
  auto const closeness_of = [&](int t) {
    return cosine(keys[static_cast<std::size_t>(t) - 1], keys[static_cast<std::size_t>(t)]);
  };
  if (count_of_sets >= 0) {
    std::stable_sort(pairs.begin(), pairs.end(), [&](int a, int b) { return closeness_of(a) > closeness_of(b); });
    auto const wanted = static_cast<std::size_t>(std::max(tokens - count_of_sets, 0));
    pairs.resize(std::min(pairs.size(), wanted));
  } else {
    std::erase_if(pairs, [&](int t) { return !(closeness_of(t) >= alike); });
  }
  token_runs r;
  for (int t = 0; t < tokens; ++t) {
    if (std::find(pairs.begin(), pairs.end(), t) != pairs.end())
      r.sets.back().push_back(t);
    else
      r.sets.push_back({t});
  }
  for (auto const& set : r.sets) {
    int pivot = set[0];
    for (int const t : set)
      if (score[static_cast<std::size_t>(t)] > score[static_cast<std::size_t>(pivot)]) pivot = t;
    r.pivots.push_back(pivot);
  }
  return r;
}

/// Each set's row: sum w_i x_i with w_i = g_i / sum g, g_i = exp(-d_i / (2 sigma^2 + 1e-8)), d_i the squared distance
/// of the keys to the pivot's; sigma^2 the mean of d over the set, with the pivot's 0 or without, or given. Keys and
/// values alike; mass: sum g.
[[nodiscard]] inline merged_head kv_merger(head_to_merge const& h, token_runs const& r, double sigma, bool with_own) {
  merged_head m;
  for (std::size_t s = 0; s < r.sets.size(); ++s) {
    int const pivot = r.pivots[s];
    std::vector<int> others;
    double sum = 0;
    for (int const t : r.sets[s])
      if (t != pivot && usable(h.key(t)) && usable(h.value(t))) {
        others.push_back(t);
        sum -= closeness(h.key(t), h.key(pivot));
      }
    double const n = static_cast<double>(others.size());
    double const square = sigma > 0 ? sigma * sigma : sum / (with_own ? n + 1 : n);
    std::vector<double> key = h.key(pivot), value = h.value(pivot);
    std::vector<std::pair<double, std::vector<double> const*>> keys, values;
    double mass = 1;
    for (int const t : others) {
      double const g = std::exp(closeness(h.key(t), h.key(pivot)) / (2 * square + 1e-8));
      if (!(g > 0)) continue;
      keys.emplace_back(g, &h.key(t));
      values.emplace_back(g, &h.value(t));
      mass += g;
    }
    if (!keys.empty()) {
      mix_rows(key, 1, keys, mass);
      mix_rows(value, 1, values, mass);
    }
    m.keys.push_back(key);
    m.values.push_back(value);
    m.mass.push_back(mass);
  }
  return m;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
