// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// Places of each layer among the `total` best of all (KVCompose): layer, head, scores without forced tokens. Scores of
/// a head are sorted, averaged over the heads place by place (in float, as they are stored), and those of the first
/// layer raised to the largest of all layers at that place. The lower layer comes first where they are equal. Where
/// +inf and -inf meet at a place, the mean is -inf.
[[nodiscard]] inline std::vector<long> composite(std::vector<std::vector<std::vector<double>>> layers, long total) {
  struct place {
    float score;
    std::size_t layer;
  };
  std::vector<std::vector<float>> curve(layers.size());
  for (std::size_t l = 0; l < layers.size(); ++l) {
    for (auto& head : layers[l]) std::sort(head.begin(), head.end(), std::greater<>{});
    for (std::size_t i = 0; i < layers[l][0].size(); ++i) {
      double sum = 0;
      for (auto const& head : layers[l]) sum += head[i];
      double const mean = std::isnan(sum) ? -HUGE_VAL : sum / static_cast<double>(layers[l].size());
      curve[l].push_back(static_cast<float>(mean));
    }
  }
  for (std::size_t l = 1; l < layers.size(); ++l)
    for (std::size_t i = 0; i < std::min(curve[0].size(), curve[l].size()); ++i)
      curve[0][i] = std::max(curve[0][i], curve[l][i]);
  std::vector<place> all;
  for (std::size_t l = 0; l < layers.size(); ++l)
    for (float const x : curve[l]) all.push_back({x, l});
  std::stable_sort(all.begin(), all.end(), [](place const& a, place const& b) { return a.score > b.score; });
  std::vector<long> count(layers.size(), 0);
  for (long i = 0; i < total && i < static_cast<long>(all.size()); ++i) ++count[all[static_cast<std::size_t>(i)].layer];
  return count;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
