// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Non-causal attention: tokens that the queries of their own chunk look at stay, whether those stand before or behind.
// Chari et al., "Compactor", arXiv 2507.08143, as kvpress computes it.
#pragma once
#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// Tokens are cut into chunks of `chunk`. score[t] = the mean over the query heads of the sum over the queries i of t's
/// chunk of p[i, t], p = softmax over the keys of the chunk of <q_i, k_t>, neither masked nor divided by sqrt(D). The
/// first `sink` and last `recent` tokens are forced and belong to no chunk. N Hq chunk D multiply-adds.
/// Tokens with keys that are not finite score NaN and get no mass; queries that are not finite are passed over.
struct non_causal_attention : policy_base<stages::score, needs::keys | needs::queries> {
  using pattern = patterns::per_head;  ///< how it walks the cache

  /// Its numbers.
  struct params {
    int chunk = 256;         ///< tokens of a chunk
    int sink = 0;            ///< first tokens that always stay
    int recent = 0;          ///< last tokens that always stay
    bool as_source = false;  ///< a short last chunk is filled up with zero rows that take part, as kvpress does
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("chunk", self.chunk, "tokens", "length of a chunk");
      visit("sink", self.sink, "tokens", "first tokens that always stay");
      visit("recent", self.recent, "tokens", "last tokens that always stay");
      visit("as_source", self.as_source, "", "a short last chunk is filled up with zero rows, as kvpress does");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("score.chunk", chunk, 1, 1 << 20), range::at_least("score.sink", sink, 0),
                        range::at_least("score.recent", recent, 0));
    }
  };

  /// How many queries, counted from the end, are observed.
  static constexpr int queries(params const& p, int tokens) { return tokens > p.sink ? tokens - p.sink : 1; }
  /// What stays whatever the scores.
  KVSIEVE_HD static constexpr forced_ends forced(params const& p, int) { return {p.sink, p.recent}; }
};
}  // namespace score
}  // namespace kvsieve::inline v0
