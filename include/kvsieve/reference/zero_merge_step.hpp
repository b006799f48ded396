// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// ZeroMerge while generating, one head.
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include <kvsieve/reference/merge.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// The slots of a head: the first `residual` ones are merged into, of `capacity` the last tail - 1 are a ring.
struct zero_merge_slots {
  rows_of_head keys;           ///< [used][D]
  rows_of_head values;         ///< [used][D]
  std::vector<double> weight;  ///< [used]: tokens that a slot stands for
  std::vector<double> score;   ///< [used]
  int capacity = 0;            ///< slots
  int turn = 0;                ///< where the ring goes on

  /// Takes a new token in whose probabilities over slots and itself are `attention`. Returns the slots (i, j) of which
  /// the first was merged into the second; -1 where the token was appended, or nothing was merged.
  std::pair<int, int> step(std::vector<double> const& key, std::vector<double> const& value,
                           std::span<double const> attention, int residual, int tail, double decay, bool by_distance,
                           bool sums) {
    std::size_t const used = keys.size();
    for (std::size_t i = 0; i < used; ++i) score[i] = score[i] * decay + attention[i];
    if (static_cast<int>(used) < capacity) {
      keys.push_back(key);
      values.push_back(value);
      weight.push_back(1);
      score.push_back(attention[used]);
      return {-1, -1};
    }
    int const ring = capacity - (tail - 1);
    auto const at = [](int i) { return static_cast<std::size_t>(i); };
    std::size_t const i = at(static_cast<int>(std::min_element(score.begin() + residual, score.begin() + ring) -
                                              score.begin())),
                      oldest = at(ring + turn);
    int nearest = -1;
    for (int j = 0; j < residual && usable(keys[i]) && usable(values[i]); ++j) {
      if (!usable(keys[at(j)]) || !usable(values[at(j)])) continue;
      auto const near = [&](int slot) {
        return by_distance ? closeness(keys[i], keys[at(slot)]) : product(keys[i], keys[at(slot)]);
      };
      if (nearest < 0 || near(j) > near(nearest)) nearest = j;
    }
    if (nearest >= 0) {
      std::size_t const j = at(nearest);
      for (auto* rows : {&keys, &values})
        for (std::size_t d = 0; d < key.size(); ++d)
          (*rows)[j][d] = (weight[i] * (*rows)[i][d] + weight[j] * (*rows)[j][d]) / (weight[i] + weight[j]);
      score[j] = sums ? score[i] + score[j] : std::max(score[i], score[j]);
      weight[j] += weight[i];
    } else if (usable(keys[i]) && usable(values[i])) {
      keys[0] = keys[i];
      values[0] = values[i];
      weight[0] = weight[i];
      score[0] = score[i];
    }
    keys[i] = keys[oldest];
    values[i] = values[oldest];
    weight[i] = weight[oldest];
    score[i] = score[oldest];
    keys[oldest] = key;
    values[oldest] = value;
    weight[oldest] = 1;
    score[oldest] = attention[used];
    turn = (turn + 1) % (tail - 1);
    return {static_cast<int>(i), nearest};
  }
};
}  // namespace reference
}  // namespace kvsieve::inline v0
