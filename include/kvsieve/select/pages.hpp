// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole pages of a paged cache stay or go, so that blocks are freed and no row moves. PagedEviction, arXiv 2509.04377.
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/select/forced_fields.hpp>
#include <kvsieve/select/whole_pieces.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// Cuts a row into pages of `page` tokens. The newest page, maybe not full, always stays, and beside it as many others
/// as the budget has room for, those with the largest mean score; equal means: the page further in front. Scores that
/// are not finite add nothing to a mean; a page without any other ranks lowest. A page that holds a forced token stays
/// before all others; by default that is the first page. A budget below the newest page keeps it alone, and the plan's
/// note says so. All heads lose the same pages where their scores are joined (aggregate::heads_mean).
struct pages : policy_base<stages::select> {
  static constexpr bool in_partitions = false;  ///< one selection for the whole row

  /// Its numbers.
  struct params {
    int page = 16;                     ///< tokens of a page
    int sink = 1;                      ///< first tokens whose pages always stay
    int recent = 0;                    ///< last tokens whose pages always stay
    cs::span<int const> white_list{};  ///< as in top_k; their pages always stay
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("page", self.page, "tokens", "of a page");
      detail::each_forced(self, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("select.page", page, 1), detail::check_forced(*this));
    }
  };

  /// Forced recent tokens of a head.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
  /// A row as pages.
  struct table {
    int others = 0;  ///< whole pages before the newest
    int kept = 0;    ///< of these
    int newest = 0;  ///< tokens of the newest
  };
  /// The pages of a row and how many stay.
  [[nodiscard]] static constexpr table of(params const& p, row_share const& share) {
    if (share.tokens < 1) return {};
    table t{(share.tokens - 1) / p.page, 0, 0};
    t.newest = share.tokens - t.others * p.page;
    int const room = share.kept < t.newest ? 0 : (share.kept - t.newest) / p.page;
    t.kept = room < t.others ? room : t.others;
    return t;
  }
  /// Tokens that stay.
  [[nodiscard]] static constexpr int count(params const& p, row_share const& share) {
    table const t = of(p, share);
    return t.newest + t.kept * p.page;
  }
  /// How a row is selected.
  [[nodiscard]] static constexpr piece_choice choice(params const& p, scored_view const& /*seen*/,
                                                     row_share const& share) {
    table const t = of(p, share);
    return {{t.others * p.page, p.page}, t.kept, t.newest};
  }
  /// What the forced tokens need; `list` has room for the white list of `forced`.
  [[nodiscard]] static constexpr shortage short_of(params const& p, scored_view const& seen, row_share const& share,
                                                   forced_set const& forced, int* list) {
    piece_choice const c = choice(p, seen, share);
    if (share.kept < c.rest) return {share.kept, c.rest, "less than the newest page,"};
    return {c.kept, detail::pieces_of(forced.within(0, c.pieces.tokens), c.pieces, list).size(),
            "pages beside the newest, less than those with forced tokens,"};
  }
};
}  // namespace select
}  // namespace kvsieve::inline v0
