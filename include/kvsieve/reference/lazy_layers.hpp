// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <vector>

namespace kvsieve::inline v0 {
namespace reference {

/// True where a layer's attention stays at the ends (SimLayerKV, arXiv 2410.13846): the mean over its heads of what
/// they give to the first `sink` and the last `recent` tokens that have scores is more than `threshold`.
[[nodiscard]] inline bool lazy_layer(std::vector<std::vector<double>> const& heads, int sink, int recent,
                                     double threshold) {
  double mass = 0;
  for (auto const& score : heads)
    for (std::size_t t = 0; t < score.size(); ++t)
      if (t < static_cast<std::size_t>(sink) || t + static_cast<std::size_t>(recent) >= score.size()) mass += score[t];
  return mass / static_cast<double>(heads.size()) > threshold;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
