// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Block-wise selection: the cache is read a block at a time and never holds more than the budget and one block. Park et
// al., "KeyDiff: Key Similarity-Based KV Cache Eviction for Long-Context LLM Inference in Resource-Constrained
// Environments", arXiv 2504.15364.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// With a budget of k tokens: the first k stay to begin with; then, block after block, the kept ones and the block are
/// scored again, among themselves alone, and the k best of them stay. Equal scores: the smaller index. No token is
/// forced. Needs a score of rows (score::key_diff, score::key_norm), since it is asked anew for every block. A token's
/// reported score is that of the last round it took part in.
struct block_wise : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< one selection for the whole row
  static constexpr bool rescores = true;        ///< asks for scores anew with every block

  /// Its number.
  struct params {
    int block = 128;  ///< tokens read at a time
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("block", self.block, "tokens", "read at a time");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::at_least("select.block", block, 1); }
  };
};
}  // namespace select
}  // namespace kvsieve::inline v0
