// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include <kvsieve/reference/row.hpp>
#include <kvsieve/reference/top_k.hpp>

namespace kvsieve::inline v0 {
namespace reference {

/// The tokens that one KV head keeps when a cache is compressed while it grows, a block at a time: the first `keep`
/// tokens stay at first; then every block of `block` tokens joins the kept ones, all of these candidates (and no other
/// token) are scored anew, and the best `keep` of them stay. Candidates stand in ascending token order and equal
/// scores go to the smaller token index.
/// `scorer(keys, head, score)` is any scorer that reads keys alone, for example a lambda that calls key_diff.
/// The block-wise form of KeyDiff, arXiv 2504.15364.
template <class Scorer>
[[nodiscard]] std::vector<int> block_wise(row_view auto const& keys, index head, int keep, int block,
                                          Scorer const& scorer) {
  constexpr int channels = head_dim_of<std::decay_t<decltype(keys)>>;
  int const tokens = static_cast<int>(keys.extent(1));
  std::vector<int> kept;
  for (int t = 0; t < std::min(keep, tokens); ++t) kept.push_back(t);
  for (int start = keep; start < tokens && keep > 0; start += block) {
    std::vector<int> candidates = kept;
    for (int t = start; t < std::min(start + block, tokens); ++t) candidates.push_back(t);

    std::vector<float> gathered;  // float holds every element type exactly
    for (int const t : candidates)
      for (int d = 0; d < channels; ++d) gathered.push_back(static_cast<float>(element_at(keys, head, t, d)));
    std::vector<double> score(candidates.size());
    scorer(make_rows<channels>(gathered.data(), 1, static_cast<index>(candidates.size())), index{0},
           std::span<double>(score));

    std::vector<int> next;
    for (int const i : top_k(score, keep)) next.push_back(candidates[static_cast<std::size_t>(i)]);
    kept = next;
  }
  return kept;
}
}  // namespace reference
}  // namespace kvsieve::inline v0
