// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a query can find in a page at most, from the extremes of the page's keys. Tang et al., "Quest: Query-Aware
// Sparsity for Efficient Long-Context LLM Inference", arXiv 2406.10774; Yang et al., "LServe", arXiv 2502.14866.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// Of the newest query q [D] of a query head, and of each part of a page, U = sum over the channels d of
/// max(q_d hi_d, q_d lo_d), hi and lo being the largest and the smallest key of the part in channel d: no key of the
/// part has a larger product with q. score[t] = the largest U among the parts of t's page, the largest over the query
/// heads of the group, or their mean; not scaled by sqrt(D). Goes with select::query_pages of as many tokens. The last
/// page and its last part may be shorter. One read of the keys. Keys and queries that are not finite, or longer than
/// 1.8e19, take no part; such a key's token scores NaN. Without a usable query all scores are 0.
/// @tparam Page  tokens of a page, unless params say otherwise
/// @tparam Part  tokens of a part of a page, unless params say otherwise
template <int Page = 16, int Part = Page>
struct page_bound : policy_base<stages::score, needs::keys | needs::queries> {
  using pattern = patterns::per_head;  ///< how it walks the cache

  /// Its numbers.
  struct params {
    int page = Page;             ///< tokens of a page
    int part = Part;             ///< tokens of a part of a page that has extremes of its own
    bool mean_of_group = false;  ///< the mean over the group's query heads in place of the largest
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("page", self.page, "tokens", "of a page; as select.page");
      visit("part", self.part, "tokens", "of a part of a page that has extremes of its own, at most page");
      visit("mean_of_group", self.mean_of_group, "", "the mean over the group's query heads in place of the largest");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("score.page", page, 1), range::within("score.part", part, 1, page));
    }
  };

  /// How many queries, counted from the end, are observed.
  static constexpr int queries(params const&, int /*tokens*/) { return 1; }
};
}  // namespace score
}  // namespace kvsieve::inline v0
