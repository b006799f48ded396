// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole chunks stay or go: neighbouring tokens belong together. Liu et al., "ChunkKV: Semantic-Preserving KV Cache
// Compression for Efficient Long-Context LLM Inference", arXiv 2502.00299.
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/select/forced_fields.hpp>
#include <kvsieve/select/whole_pieces.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// Cuts a row into chunks of `length` tokens, the last one maybe shorter, and keeps the chunks with the largest mean
/// score: of c chunks max(1, floor(c * keep)), as kvpress counts them, so that the tokens kept are near the budget and
/// not it. Scores that are not finite add nothing to a mean; a chunk without any other ranks lowest. Equal means: the
/// chunk further in front. A chunk that holds a forced token stays before all others. A row shorter than a chunk is
/// selected by token.
struct chunks : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< one selection for the whole row
  static constexpr bool counts_float = true;    ///< the last chunk may be shorter, and stays or goes

  /// Its numbers.
  struct params {
    int length = 20;                   ///< tokens of a chunk
    int sink = 0;                      ///< first tokens whose chunks always stay
    int recent = 0;                    ///< last tokens whose chunks always stay
    cs::span<int const> white_list{};  ///< as in top_k; their chunks always stay
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

  /// Counts differ by a shorter last chunk that one row keeps and another does not.
  [[nodiscard]] static constexpr uniformity least_uniformity(bool joined) {
    return joined ? uniformity::U2 : uniformity::U3;
  }
  /// Forced recent tokens of a head.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
  /// Chunks of `of` that stay.
  [[nodiscard]] static constexpr int kept(row_share const& share, int of) {
    int const n = share.of(of);
    return n < 1 ? 1 : n;
  }
  /// How a row is selected.
  [[nodiscard]] static constexpr piece_choice choice(params const& p, scored_view const& seen, row_share const& share) {
    if (seen.tokens < p.length) return {{seen.tokens, 1}, share.kept, 0, true};
    row_pieces const pieces{seen.tokens, p.length};
    return {pieces, kept(share, pieces.count()), 0};
  }
  /// What the forced tokens need; `list` has room for the white list of `forced`.
  [[nodiscard]] static constexpr shortage short_of(params const& p, scored_view const& seen, row_share const& share,
                                                   forced_set const& forced, int* list) {
    piece_choice const c = choice(p, seen, share);
    if (c.by_token) return {share.kept, forced.size()};
    return {c.kept, detail::pieces_of(forced, c.pieces, list).size(), "chunks, less than those with forced tokens,"};
  }
};
}  // namespace select
}  // namespace kvsieve::inline v0
