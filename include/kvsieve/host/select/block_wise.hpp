// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of block-wise selection: a per-row scorer over a changing list of candidates.
#pragma once
#include <kvsieve/host/score/score_per_row.hpp>
#include <kvsieve/host/select/top_k.hpp>

namespace kvsieve::inline v0 {
namespace detail {
/// Some rows of a head, as if they were all: row i is token list[i].
template <row_view View>
struct picked_rows {
  View const* view;
  int const* list;
};
template <row_view View>
[[nodiscard]] KVSIEVE_INLINE auto row_of(picked_rows<View> const& rows, index head, index i) {
  return row_of(*rows.view, head, rows.list[i]);
}
}  // namespace detail

namespace host::inline KVSIEVE_TARGET {

template <row_view View>
struct picked_layer {
  static constexpr int head_dim = head_dim_of<View>;
  kvsieve::detail::picked_rows<View> keys;
  int count;
  [[nodiscard]] int tokens() const { return count; }
};

/// Scratch of one head: lists and scores of up to `tokens` candidates.
struct block_wise_scratch {
  int *candidates, *best;
  float* score;
  top_k_scratch select;
};

/// Selects `k` of the tokens of one head into out[k], `block` tokens at a time; score [tokens] gets the last score of
/// every token.
template <class Scorer, row_view Keys>
void select_block_wise(Keys const& keys, index head, int k, int block, float* score, int* out,
                       block_wise_scratch const& s) {
  int const tokens = static_cast<int>(keys.extent(1));
  int count = k < tokens ? k : tokens;
  for (int t = 0; t < count; ++t) s.candidates[t] = t;
  // With nothing to drop there is one round, for the scores alone.
  for (int next = count; next < tokens || next == k; next += block) {
    int const end = tokens - next < block ? tokens : next + block;
    for (int t = next; t < end; ++t) s.candidates[count++] = t;
    score_per_row<Scorer>::score_head(picked_layer<Keys>{{&keys, s.candidates}, count}, head, s.score);
    for (int i = 0; i < count; ++i) score[s.candidates[i]] = s.score[i];
    top_k(s.score, count, k, forced_set{count, 0, 0, nullptr, 0}, 0, s.best, s.select);
    for (int i = 0; i < k; ++i) s.candidates[i] = s.candidates[s.best[i]];  // ascends, so best[i] >= i
    count = k;
    if (end == tokens) break;
  }
  for (int i = 0; i < k; ++i) out[i] = s.candidates[i];
}
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
