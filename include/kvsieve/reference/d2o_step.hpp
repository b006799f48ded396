// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// D2O while generating, all heads of a layer, which share a threshold.
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <kvsieve/reference/merge.hpp>
#include <kvsieve/reference/top_k.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Entries of the heads of a layer.
struct d2o_entries {
  std::vector<rows_of_head> keys;          ///< [heads][entries][D]
  std::vector<rows_of_head> values;        ///< [heads][entries][D]
  std::vector<std::vector<double>> score;  ///< [heads][entries]
  double threshold = NAN;                  ///< NaN before the first time that entries leave

  /// What left in a step.
  struct step_result {
    std::vector<std::vector<int>> kept;           ///< [heads] ascending
    std::vector<std::vector<int>> left;           ///< [heads] ascending
    std::vector<std::vector<double>> similarity;  ///< [heads], of those that left
    std::vector<std::vector<bool>> merged;        ///< [heads], of those that left
  };

  /// Adds the attention [heads][entries] of a step, the scores of new entries among them, and lets entries leave until
  /// heavy + recent are there.
  step_result step(std::vector<std::vector<double>> const& attention, int heavy, int recent, int sink, double decay,
                   double share, bool together) {
    step_result r;
    std::size_t const heads = keys.size();
    for (std::size_t h = 0; h < heads; ++h) {
      score[h].resize(keys[h].size());
      for (std::size_t t = 0; t < score[h].size(); ++t) score[h][t] += attention[h][t];
    }
    int const entries = static_cast<int>(keys[0].size());
    if (entries <= heavy + recent) return r;
    std::vector<std::vector<int>> target(heads);
    double sum = 0, count = 0;
    for (std::size_t h = 0; h < heads; ++h) {
      for (int t = 0; t < std::min(sink, entries); ++t) score[h][static_cast<std::size_t>(t)] = INFINITY;
      auto kept = top_k(std::span<double const>(score[h]).first(static_cast<std::size_t>(entries - recent)), heavy, {});
      for (int t = entries - recent; t < entries; ++t) kept.push_back(t);
      std::vector<int> left;
      for (int t = 0; t < entries; ++t)
        if (!std::binary_search(kept.begin(), kept.end(), t)) left.push_back(t);
      std::vector<double> near;
      for (int const e : left) {
        auto const& key = keys[h][static_cast<std::size_t>(e)];
        double best = -INFINITY;
        int at = -1;
        for (std::size_t k = 0; k < kept.size() && usable(key); ++k) {
          auto const& other = keys[h][static_cast<std::size_t>(kept[k])];
          if (!usable(other)) continue;
          double const c = cosine(key, other);
          if (c > best) best = c, at = static_cast<int>(k);
        }
        near.push_back(best);
        target[h].push_back(at);
        if (at >= 0) sum += best, ++count;
      }
      r.kept.push_back(kept);
      r.left.push_back(left);
      r.similarity.push_back(near);
    }
    double const mean = count > 0 ? sum / count : 0;
    threshold = std::isnan(threshold) ? mean : decay * threshold + share * mean;
    for (std::size_t h = 0; h < heads; ++h) {
      auto const row = [&](rows_of_head const& rows, int t) -> std::vector<double> const& {
        return rows[static_cast<std::size_t>(t)];
      };
      std::vector<bool> merged;
      rows_of_head k, v;
      std::vector<double> s, tokens(r.kept[h].size(), 1);
      for (int const t : r.kept[h]) {
        k.push_back(row(keys[h], t));
        v.push_back(row(values[h], t));
        s.push_back(score[h][static_cast<std::size_t>(t)]);
      }
      for (std::size_t e = 0; e < r.left[h].size(); ++e) {
        double judged = r.similarity[h][e];
        if (together) {
          judged = 0;
          for (std::size_t g = 0; g < heads; ++g) judged += r.similarity[g][e] / static_cast<double>(heads);
        }
        int const t = r.left[h][e], to = target[h][e];
        merged.push_back(to >= 0 && judged >= threshold && usable(row(keys[h], t)) && usable(row(values[h], t)));
        if (!merged.back()) continue;
        auto const j = static_cast<std::size_t>(to);
        for (std::size_t d = 0; d < k[j].size(); ++d) {
          k[j][d] += r.similarity[h][e] * row(keys[h], t)[d];
          v[j][d] += r.similarity[h][e] * row(values[h], t)[d];
        }
        tokens[j] += 1;
      }
      for (std::size_t j = 0; j < k.size(); ++j)
        for (std::size_t d = 0; d < k[j].size(); ++d) {
          k[j][d] /= tokens[j];
          v[j][d] /= tokens[j];
        }
      keys[h] = k;
      values[h] = v;
      score[h] = s;
      r.merged.push_back(merged);
    }
    return r;
  }
};
}  // namespace reference
}  // namespace kvsieve::inline v0
