// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Whole pages by score, and a few that stand for the others. KVCrush, as OpenVINO GenAI ships it.
#pragma once
#include <cuda/std/cstdint>

#include <kvsieve/core/math.hpp>
#include <kvsieve/select/pages.hpp>

namespace kvsieve::inline v0 {
namespace select {

/// As select::pages, but the share `representatives` (rounded down) of the pages beside the newest goes to pages that
/// stand for the others. A token has the bit 1 when its score is in the upper half of those of all tokens that may go,
/// a page a bit for each token. The pages that would go are ordered by how many bits they differ in from an anchor,
/// equal ones by their place; of n of them r stay in equal steps: places 0, s, 2 s, ... with s = floor(n / r). Pages
/// with forced tokens and the newest page have no bits and come before all others.
struct page_representatives : pages {
  /// Its numbers.
  struct params {
    int page = 16;                     ///< tokens of a page
    double representatives = 0.25;     ///< share of the pages beside the newest that stand for others
    int anchor = 0;                    ///< 0: drawn bits, 1: zeros, 2: ones, 3: 0 1 0 1 ..., 4: what most pages have
    cs::uint64_t seed = 0;             ///< of the drawn bits
    int sink = 1;                      ///< first tokens whose pages always stay
    int recent = 0;                    ///< last tokens whose pages always stay
    cs::span<int const> white_list{};  ///< as in top_k; their pages always stay
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("page", self.page, "tokens", "of a page");
      visit("representatives", self.representatives, "fraction", "of the pages that stand for others");
      visit("anchor", self.anchor, "", "bits compared with; 0: drawn, 1: zeros, 2: ones, 3: in turns, 4: the majority");
      visit("seed", self.seed, "", "of the drawn bits; the same for all heads");
      detail::each_forced(self, visit);
    }
    /// What the driver of pages takes.
    [[nodiscard]] constexpr pages::params as_pages() const { return {page, sink, recent, white_list}; }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("select.representatives", representatives, 0, 1),
                        range::within("select.anchor", anchor, 0, 4), as_pages().check());
    }
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
  /// Bit of the anchor at a place of the page; `ones` of `of` pages have a 1 there.
  [[nodiscard]] KVSIEVE_HD static constexpr bool anchor_bit(params const& p, int place, int ones, int of) {
    switch (p.anchor) {
      case 0:
        return (mix(p.seed + static_cast<cs::uint64_t>(place)) >> 63) != 0;
      case 1:
        return false;
      case 2:
        return true;
      case 3:
        return place % 2 != 0;
      default:
        return 2 * cs::int64_t{ones} > of;
    }
  }
};
}  // namespace select
}  // namespace kvsieve::inline v0
