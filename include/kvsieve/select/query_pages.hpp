// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole pages for a query to attend to. Quest, arXiv 2406.10774; LServe, arXiv 2502.14866.
#pragma once
#include <kvsieve/select/pages.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// As select::pages, but no page is forced beside the newest: a page that no query asks for may come back with the next
/// one. A plan is then the list of pages that a step attends to, and nothing has to be evicted.
/// @tparam Page  tokens of a page, unless params say otherwise
template <int Page = 16>
struct query_pages : pages {
  /// Its numbers.
  struct params {
    int page = Page;                   ///< tokens of a page
    int sink = 0;                      ///< first tokens whose pages always stay
    int recent = 0;                    ///< last tokens whose pages always stay
    cs::span<int const> white_list{};  ///< as in top_k; their pages always stay
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      pages::params::each(self, visit);
    }
    /// What the driver of pages takes.
    [[nodiscard]] constexpr pages::params as_pages() const { return {page, sink, recent, white_list}; }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return as_pages().check(); }
  };

  /// Forced recent tokens of a head.
  KVSIEVE_HD static constexpr int recent(params const& p, int /*count*/) { return p.recent; }
  /// Tokens that stay.
  [[nodiscard]] static constexpr int count(params const& p, row_share const& share) {
    return pages::count(p.as_pages(), share);
  }
  /// How a row is selected.
  [[nodiscard]] static constexpr piece_choice choice(params const& p, scored_view const& seen, row_share const& share) {
    return pages::choice(p.as_pages(), seen, share);
  }
  /// What the forced tokens need; `list` has room for the white list of `forced`.
  [[nodiscard]] static constexpr shortage short_of(params const& p, scored_view const& seen, row_share const& share,
                                                   forced_set const& forced, int* list) {
    return pages::short_of(p.as_pages(), seen, share, forced, list);
  }
};
}  // namespace select
}  // namespace kvsieve::inline v0
