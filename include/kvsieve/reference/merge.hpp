// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Merging of evicted tokens into kept ones, one head at a time, from the formulas of the papers and of their code.
// merging_press: NVIDIA kvpress. LOOK-M: KVCache-Factory. D2O: its own code. Elastic Cache: the rule of its paper.
#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include <kvsieve/core/views.hpp>
#include <kvsieve/reference/row.hpp>

namespace kvsieve::inline v0 {
namespace reference {

using rows_of_head = std::vector<std::vector<double>>;  ///< [tokens][D]

/// One head: its rows, and which of them stay.
struct head_to_merge {
  rows_of_head keys;         ///< of all tokens
  rows_of_head values;       ///< of all tokens
  std::vector<int> kept;     ///< ascending
  std::vector<int> evicted;  ///< ascending

  /// Reads a head of a cache.
  head_to_merge(row_view auto const& k, row_view auto const& v, index head, std::span<int const> stay)
      : kept(stay.begin(), stay.end()) {
    for (index t = 0; t < k.extent(1); ++t) {
      if (!std::binary_search(kept.begin(), kept.end(), static_cast<int>(t))) evicted.push_back(static_cast<int>(t));
      std::vector<double> key, value;
      for (int d = 0; d < head_dim_of<std::decay_t<decltype(k)>>; ++d) {
        key.push_back(element_at(k, head, t, d));
        value.push_back(element_at(v, head, t, d));
      }
      keys.push_back(key);
      values.push_back(value);
    }
  }
  /// A key.
  [[nodiscard]] std::vector<double> const& key(int token) const { return keys[static_cast<std::size_t>(token)]; }
  /// A value.
  [[nodiscard]] std::vector<double> const& value(int token) const { return values[static_cast<std::size_t>(token)]; }
};

/// The dot product.
[[nodiscard]] inline double product(std::vector<double> const& a, std::vector<double> const& b) {
  double sum = 0;
  for (std::size_t d = 0; d < a.size(); ++d) sum += a[d] * b[d];
  return sum;
}
/// The L2 norm.
[[nodiscard]] inline double length(std::vector<double> const& a) { return std::sqrt(product(a, a)); }
/// Whether the squares of a row sum to a number, as a float.
[[nodiscard]] inline bool usable(std::vector<double> const& a) {
  return std::isfinite(static_cast<float>(product(a, a)));
}

/// Cosine with norms of at least 1e-6.
[[nodiscard]] inline double cosine(std::vector<double> const& a, std::vector<double> const& b) {
  return product(a, b) / (std::max(length(a), 1e-6) * std::max(length(b), 1e-6));
}
/// Minus the squared distance.
[[nodiscard]] inline double closeness(std::vector<double> const& a, std::vector<double> const& b) {
  double sum = 0;
  for (std::size_t d = 0; d < a.size(); ++d) sum -= (a[d] - b[d]) * (a[d] - b[d]);
  return sum;
}

/// What each evicted token is nearest to: an index into `kept`, -1 for none, and how near that is.
struct nearest_of {
  std::vector<int> target;         ///< of each evicted token
  std::vector<double> similarity;  ///< and how near that is
};
/// The largest alike(evicted token, kept token); the smaller index wins a tie. NaN is never the largest.
template <class Alike>
[[nodiscard]] nearest_of find_nearest(head_to_merge const& h, Alike const& alike) {
  nearest_of n;
  for (int const e : h.evicted) {
    int target = -1;
    double most = -HUGE_VAL;
    for (std::size_t j = 0; j < h.kept.size(); ++j)
      if (double const a = alike(e, h.kept[j]); a > most) {
        most = a;
        target = static_cast<int>(j);
      }
    n.target.push_back(target);
    n.similarity.push_back(most);
  }
  return n;
}
/// By cosine; rows that are not finite are no pairs.
[[nodiscard]] inline nearest_of nearest_by_cosine(head_to_merge const& h) {
  return find_nearest(h, [&](int e, int j) {
    return usable(h.key(e)) && usable(h.key(j)) ? cosine(h.key(e), h.key(j)) : std::nan("");
  });
}
/// Tokens outside [from, to) are no targets.
[[nodiscard]] inline nearest_of nearest_by_position(head_to_merge const& h, int from, int to) {
  return find_nearest(h, [&](int e, int j) {
    return j < from || j >= to ? std::nan("") : -static_cast<double>(e < j ? j - e : e - j);
  });
}

/// A head's result: rows by kept token, and what each stands for over what it was.
struct merged_head {
  rows_of_head keys;         ///< of each kept token
  rows_of_head values;       ///< of each kept token
  std::vector<double> mass;  ///< what a row stands for over what it was
};
/// The kept rows as they are.
[[nodiscard]] inline merged_head keep_rows(head_to_merge const& h) {
  merged_head m;
  for (int const j : h.kept) {
    m.keys.push_back(h.key(j));
    m.values.push_back(h.value(j));
    m.mass.push_back(1);
  }
  return m;
}

/// The evicted tokens of every kept one: those with a target, that the gate lets through, made of numbers.
template <class Passes>
[[nodiscard]] std::vector<std::vector<std::size_t>> sources_of(head_to_merge const& h, nearest_of const& n,
                                                               Passes const& passes) {
  std::vector<std::vector<std::size_t>> of(h.kept.size());
  for (std::size_t i = 0; i < h.evicted.size(); ++i)
    if (n.target[i] >= 0 && passes(i) && usable(h.key(h.evicted[i])) && usable(h.value(h.evicted[i])))
      of[static_cast<std::size_t>(n.target[i])].push_back(i);
  return of;
}

/// x <- (own * x + sum of weight * row) / divisor.
inline void mix_rows(std::vector<double>& x, double own, std::vector<std::pair<double, std::vector<double> const*>> add,
                     double divisor) {
  for (std::size_t d = 0; d < x.size(); ++d) {
    double sum = own * x[d];
    for (auto const& [weight, row] : add) sum += weight * (*row)[d];
    x[d] = sum / divisor;
  }
}

/// The merging press of kvpress: V_j <- (V_j + sum g v_e) / (1 + sum g), g = max(c, 0) |v_e| / (|v_e| + |v_j| + 1e-6),
/// over the tokens with c at least `threshold`, and at least the (1 - fraction) quantile of the head's, where tokens
/// below the threshold count as -inf; all above merge, or with `as_source` none, where that quantile is -inf.
[[nodiscard]] inline merged_head merge_on_evict(head_to_merge const& h, double threshold, double fraction,
                                                bool as_source) {
  nearest_of const n = nearest_by_cosine(h);
  double least = threshold;
  if (fraction < 1 && !h.evicted.empty()) {
    std::vector<double> sorted;
    for (double const m : n.similarity) sorted.push_back(m >= threshold ? m : -HUGE_VAL);
    std::sort(sorted.begin(), sorted.end());
    double const place = (1 - fraction) * static_cast<double>(sorted.size() - 1);
    auto const below = static_cast<std::size_t>(place);
    double const low = sorted[below], high = sorted[std::min(below + 1, sorted.size() - 1)];
    if (low == -HUGE_VAL)
      least = as_source ? HUGE_VAL : threshold;
    else
      least = std::max(threshold, low + (place - static_cast<double>(below)) * (high - low));
  }
  merged_head m = keep_rows(h);
  auto const sources = sources_of(h, n, [&](std::size_t i) { return n.similarity[i] >= least; });
  for (std::size_t j = 0; j < m.values.size(); ++j) {
    double sum = 1;
    std::vector<std::pair<double, std::vector<double> const*>> add;
    for (std::size_t const i : sources[j]) {
      auto const& v = h.value(h.evicted[i]);
      double const g = std::max(n.similarity[i], 0.0) * length(v) / (length(v) + length(h.value(h.kept[j])) + 1e-6);
      if (!(g > 0)) continue;
      add.emplace_back(g, &v);
      sum += g;
    }
    if (add.empty()) continue;
    mix_rows(m.values[j], 1, add, sum);
    m.mass[j] = sum;
  }
  return m;
}

/// LOOK-M. Pivot: x_j <- (x_j + sum of (x_e + x_j) / 2) / (1 + n). Weighted: w = max((c + 1) / 2, 1e-6), x_j <- (x_j +
/// sum w x_e) / (1 + sum w). Keys and values alike.
[[nodiscard]] inline merged_head look_m(head_to_merge const& h, bool pivot) {
  nearest_of const n = nearest_by_cosine(h);
  merged_head m = keep_rows(h);
  auto const sources = sources_of(h, n, [](std::size_t) { return true; });
  for (std::size_t j = 0; j < m.keys.size(); ++j) {
    double own = 1, divisor = 1;
    std::vector<std::pair<double, std::vector<double> const*>> keys, values;
    for (std::size_t const i : sources[j]) {
      double const w = pivot ? 0.5 : std::max((n.similarity[i] + 1) / 2, 1e-6);
      keys.emplace_back(w, &h.key(h.evicted[i]));
      values.emplace_back(w, &h.value(h.evicted[i]));
      own += pivot ? 0.5 : 0;
      divisor += pivot ? 1 : w;
    }
    if (keys.empty()) continue;
    mix_rows(m.keys[j], own, keys, divisor);
    mix_rows(m.values[j], own, values, divisor);
    m.mass[j] = divisor;
  }
  return m;
}

/// The mean of similarities over all heads; tokens without a target do not count.
[[nodiscard]] inline double mean_similarity(std::span<nearest_of const> heads) {
  double sum = 0, count = 0;
  for (auto const& n : heads)
    for (double const s : n.similarity)
      if (s > -HUGE_VAL) sum += s, ++count;
  return count > 0 ? sum / count : 0;
}
/// D2O: x_j <- (x_j + sum c x_e) / (1 + n) over the tokens with c at least `least`.
[[nodiscard]] inline merged_head d2o(head_to_merge const& h, nearest_of const& n, std::span<double const> judged,
                                     double least) {
  merged_head m = keep_rows(h);
  auto const sources = sources_of(h, n, [&](std::size_t i) { return judged[i] >= least; });
  for (std::size_t j = 0; j < m.keys.size(); ++j) {
    std::vector<std::pair<double, std::vector<double> const*>> keys, values;
    for (std::size_t const i : sources[j]) {
      keys.emplace_back(n.similarity[i], &h.key(h.evicted[i]));
      values.emplace_back(n.similarity[i], &h.value(h.evicted[i]));
    }
    if (keys.empty()) continue;
    m.mass[j] = 1 + static_cast<double>(keys.size());
    mix_rows(m.keys[j], 1, keys, m.mass[j]);
    mix_rows(m.values[j], 1, values, m.mass[j]);
  }
  return m;
}

/// Elastic Cache: the mean of a kept token and those nearest to it in position, keys and values.
[[nodiscard]] inline merged_head elastic_cache(head_to_merge const& h, int sink, int recent) {
  nearest_of const n = nearest_by_position(h, sink, static_cast<int>(h.keys.size()) - recent);
  merged_head m = keep_rows(h);
  auto const sources = sources_of(h, n, [](std::size_t) { return true; });
  for (std::size_t j = 0; j < m.keys.size(); ++j) {
    std::vector<std::pair<double, std::vector<double> const*>> keys, values;
    for (std::size_t const i : sources[j]) {
      keys.emplace_back(1, &h.key(h.evicted[i]));
      values.emplace_back(1, &h.value(h.evicted[i]));
    }
    if (keys.empty()) continue;
    m.mass[j] = 1 + static_cast<double>(keys.size());
    mix_rows(m.keys[j], 1, keys, m.mass[j]);
    mix_rows(m.values[j], 1, values, m.mass[j]);
  }
  return m;
}

/// Values weighed by scores: V_j <- (s_j v_j + sum s_e v_e) / (s_j + sum s_e), nearest by cosine; mass (s_j + sum s_e)
/// / s_j. A score of +inf counts as the largest finite one, one that is not above 0 as none (of a kept token 1e-30).
[[nodiscard]] inline merged_head merge_nearest(head_to_merge const& h, std::span<double const> score) {
  nearest_of const n = nearest_by_cosine(h);
  double largest = 0;
  for (double const s : score)
    if (std::isfinite(s)) largest = std::max(largest, s);
  auto const mass = [&](int t) {
    double const s = score[static_cast<std::size_t>(t)];
    return s == HUGE_VAL ? largest : s > 0 ? s : 0.0;
  };
  merged_head m = keep_rows(h);
  auto const sources = sources_of(h, n, [&](std::size_t i) { return mass(h.evicted[i]) > 0; });
  for (std::size_t j = 0; j < m.values.size(); ++j) {
    double const own = std::max(mass(h.kept[j]), 1e-30);
    double sum = own;
    std::vector<std::pair<double, std::vector<double> const*>> add;
    for (std::size_t const i : sources[j]) {
      add.emplace_back(mass(h.evicted[i]), &h.value(h.evicted[i]));
      sum += add.back().first;
    }
    if (add.empty()) continue;
    mix_rows(m.values[j], own, add, sum);
    m.mass[j] = sum / own;
  }
  return m;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
