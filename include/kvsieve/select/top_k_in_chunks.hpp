// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Top-k inside each chunk: no part of the cache is emptied for another. kvpress's ChunkPress, after FINCH (TACL 2024).
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/select/forced_fields.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// Cuts a row into chunks of `length` tokens, the last one maybe shorter, and keeps the max(1, floor(n * keep)) largest
/// scores of each, n being its tokens; equal scores: the smaller index. Forced tokens come first inside their chunk;
/// where there are more of them than the chunk keeps they give way as they do in a whole row.
struct top_k_in_chunks : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< chunks do not come from the scorer

  /// Its numbers.
  struct params {
    int length = 1024;                 ///< tokens of a chunk
    int sink = 0;                      ///< first tokens that always stay
    int recent = 0;                    ///< last tokens that always stay
    cs::span<int const> white_list{};  ///< as in top_k
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("length", self.length, "tokens", "of a chunk");
      detail::each_forced(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("select.length", length, 1), detail::check_forced(*this));
    }
  };

  /// Forced recent tokens of a head.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
  /// Tokens that stay of a chunk of `tokens`.
  [[nodiscard]] static constexpr int kept(row_share const& share, int tokens) {
    int const n = share.of(tokens);
    return n < 1 ? tokens < 1 ? 0 : 1 : n;
  }
  /// Tokens that stay of a row.
  [[nodiscard]] static constexpr int count(params const& p, row_share const& share) {
    return share.tokens / p.length * kept(share, p.length) + kept(share, share.tokens % p.length);
  }
  /// The first chunk that keeps less than is forced in it.
  [[nodiscard]] static constexpr shortage short_of(params const& p, row_share const& share, forced_set const& forced) {
    shortage first{0, 0, "in a chunk, less than its forced tokens,"};
    for (cs::int64_t t = 0; t < share.tokens && first.needed <= first.budget; t += p.length) {
      int const begin = static_cast<int>(t), left = share.tokens - begin, size = left < p.length ? left : p.length;
      first.budget = kept(share, size);
      first.needed = forced.within(begin, size).size();
    }
    return first;
  }
};
}  // namespace select
}  // namespace kvsieve::inline v0
