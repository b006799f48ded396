// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Several sets of observed queries, each with a weight and with keys that it sees: SnapKV's window, a draft behind the
// cache (Lookahead Q-Cache, arXiv 2505.20334), proxies without a mask (NACL, arXiv 2408.03675) and the chunks of a
// reconstruction pass (KVzip, arXiv 2505.23416) are such sets.
#pragma once
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include <kvsieve/core/query_set.hpp>
#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// Whether query i of a set sees token t of a view, of which the first `cached` are the cache.
inline bool sees(query_set const& set, int i, int cached, int t) {
  if (set.position < 0 ? t >= cached : t > set.position + i) return false;
  int const own = set.position < 0 ? cached : set.position;
  if (set.to < 0 || t >= own) return true;
  return t < set.sink || (set.from <= t && t < set.to);
}

/// What the queries of all sets make of the keys: `number[i * tokens + t]`, `seen` likewise, and the queries' weights.
struct observed_rows {
  int queries = 0;             ///< of all sets
  int tokens = 0;              ///< keys
  std::vector<double> number;  ///< [queries, tokens]
  std::vector<double> weight;  ///< [queries]
  std::vector<bool> seen;      ///< [queries, tokens]
};

/// Query head `query_head` against the keys of KV head `head`. The sets' queries lie one behind another at the end of
/// `queries`. With `softmax`, numbers are probabilities over what the query sees, 0 for the rest; else they are logits
/// <q, k> / sqrt(D), `unseen` for the rest. A key that is not finite is NaN in all rows; a query that is not finite
/// gives `unseen` (0 with softmax) everywhere.
observed_rows rows_of_sets(row_view auto const& queries, index query_head, row_view auto const& keys, index head,
                           std::span<query_set const> sets, int cached, bool softmax, double unseen = 0) {
  constexpr int channels = head_dim_of<std::decay_t<decltype(keys)>>;
  observed_rows r;
  r.tokens = static_cast<int>(keys.extent(1));
  for (query_set const& set : sets) r.queries += set.count;
  auto const n = static_cast<std::size_t>(r.tokens);
  r.number.assign(static_cast<std::size_t>(r.queries) * n, softmax ? 0.0 : unseen);
  r.seen.assign(r.number.size(), false);
  int row = 0;
  for (query_set const& set : sets)
    for (int i = 0; i < set.count; ++i, ++row) {
      r.weight.push_back(static_cast<double>(set.weight));
      index const q = queries.extent(1) - r.queries + row;
      bool const passed_over = !finite_row(queries, query_head, q);
      double largest = -std::numeric_limits<double>::infinity(), mass = 0;
      for (int t = 0; t < r.tokens; ++t) {
        std::size_t const at = static_cast<std::size_t>(row) * n + static_cast<std::size_t>(t);
        r.seen[at] = sees(set, i, cached, t);
        if (!finite_row(keys, head, t)) {
          r.number[at] = std::numeric_limits<double>::quiet_NaN();
          continue;
        }
        if (passed_over || !r.seen[at]) continue;
        double z = 0;
        for (int d = 0; d < channels; ++d) z += element_at(queries, query_head, q, d) * element_at(keys, head, t, d);
        r.number[at] = z / std::sqrt(static_cast<double>(channels));
        largest = std::fmax(largest, r.number[at]);
      }
      if (!softmax || passed_over) continue;
      for (std::size_t t = 0; t < n; ++t) {
        double& z = r.number[static_cast<std::size_t>(row) * n + t];
        if (!r.seen[static_cast<std::size_t>(row) * n + t] || std::isnan(z)) continue;
        z = std::exp(z - largest);
        mass += z;
      }
      for (std::size_t t = 0; t < n && mass > 0; ++t) r.number[static_cast<std::size_t>(row) * n + t] /= mass;
    }
  return r;
}

/// score[t] = sum of weight * number, over the sum of all weights with `mean`, or over those of the queries that see t
/// with `mean_visible` (0 where there are none).
enum class weighing { sum, mean, mean_visible };
/// Folds the queries so.
inline void weighted_sum(observed_rows const& r, weighing how, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    double sum = 0, weights = 0;
    for (std::size_t i = 0; i < r.weight.size(); ++i) {
      std::size_t const at = i * static_cast<std::size_t>(r.tokens) + t;
      sum += r.weight[i] * r.number[at];
      weights += how == weighing::mean_visible && !r.seen[at] ? 0.0 : r.weight[i];
    }
    score[t] = how == weighing::sum || (weights == 0 && !std::isnan(sum)) ? sum : sum / weights;
  }
}
/// score[t] = sqrt(sum of weight * number^2 / sum of weights).
inline void weighted_root_mean_square(observed_rows const& r, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    double sum = 0, weights = 0;
    for (std::size_t i = 0; i < r.weight.size(); ++i) {
      double const x = r.number[i * static_cast<std::size_t>(r.tokens) + t];
      sum += r.weight[i] * x * x;
      weights += r.weight[i];
    }
    score[t] = std::sqrt(sum / weights);
  }
}
/// score[t] = largest weight * number over the queries with a weight, `unseen` where there is none; NaN stays.
inline void weighted_max(observed_rows const& r, double unseen, std::span<double> score) {
  for (std::size_t t = 0; t < score.size(); ++t) {
    score[t] = unseen;
    for (std::size_t i = 0; i < r.weight.size(); ++i) {
      double const x = r.number[i * static_cast<std::size_t>(r.tokens) + t];
      if (std::isnan(x)) score[t] = x;
      if (r.weight[i] > 0 && x * r.weight[i] > score[t]) score[t] = x * r.weight[i];
    }
  }
}
}  // namespace reference
}  // namespace kvsieve::inline v0
