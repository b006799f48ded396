// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of pages with representatives of what goes.
#pragma once
#include <algorithm>

#include <kvsieve/host/select/select_pieces.hpp>
#include <kvsieve/select/page_representatives.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <>
struct selection<select::page_representatives> {
  using policy = select::page_representatives;
  using params = policy::params;
  static constexpr bool needs_scores = true, needs_numbers = true;
  static constexpr int needs_lists = 2;

  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    auto const t = policy::of(p.as_pages(), row.share);
    select::row_pieces const others{t.others * p.page, p.page};
    forced_set const before = row.forced.within(0, others.tokens);
    int const closed = closed_pages(before, others), by_rule = static_cast<int>(t.kept * p.representatives);
    int const most = t.kept - (closed < t.kept ? closed : t.kept), extra = by_rule < most ? by_rule : most;
    // The pages by score lie in s.list[0], ascending.
    (void)detail::whole_pieces(row, others, t.kept - extra, out, s);
    int const kept = extra > 0 ? add_representatives(p, row, others, before, t.kept - extra, extra, s) : t.kept;
    int written = 0;
    for (int i = 0; i < kept; ++i)
      for (int k = 0; k < p.page; ++k) out[written++] = others.begin(s.list[0][i]) + k;
    for (int i = 0; i < t.newest; ++i) out[written + i] = others.tokens + i;
    return written + t.newest;
  }
  static shortage short_of(params const& p, selection_row const& row, selection_scratch const& s) {
    return policy::short_of(p, row.seen, row.share, row.forced, s.list[1]);
  }

 private:
  static bool has_forced(forced_set const& before, select::row_pieces const& pages, int page) {
    return before.within(pages.begin(page), pages.length).size() > 0;
  }
  static int closed_pages(forced_set const& before, select::row_pieces const& pages) {
    int n = 0;
    for (int i = 0; i < pages.count(); ++i) n += has_forced(before, pages, i);
    return n;
  }

  /// Adds `extra` of the pages that are not among the `kept` ones in s.list[0]; returns how many there are then.
  static int add_representatives(params const& p, selection_row const& row, select::row_pieces const& pages,
                                 forced_set const& before, int kept, int extra, selection_scratch const& s) {
    int const page = p.page;
    // Scores of the tokens that may go; their places in the upper half; then bits.
    int open = 0;
    for (int i = 0; i < pages.count(); ++i)
      if (!has_forced(before, pages, i)) {
        for (int k = 0; k < page; ++k) s.score[open * page + k] = row.score[pages.begin(i) + k];
        ++open;
      }
    int const tokens = open * page, upper = tokens / 2;
    top_k(s.score, tokens, upper, forced_set{tokens, 0, 0, nullptr, 0}, 0, s.list[1], s.top);
    for (int i = 0; i < tokens; ++i) s.score[i] = 0;
    for (int i = 0; i < upper; ++i) s.score[s.list[1][i]] = 1;
    for (int k = 0; k < page; ++k) {
      int ones = 0;
      for (int i = 0; i < open; ++i) ones += s.score[i * page + k] != 0.0f;
      s.list[1][k] = policy::anchor_bit(p, k, ones, open);
    }
    // The pages that would go, as distance and page in one number.
    int go = 0;
    for (int i = 0, at = 0, next = 0; i < pages.count(); ++i) {
      bool const stays = next < kept && s.list[0][next] == i;
      next += stays;
      if (has_forced(before, pages, i)) continue;
      index distance = 0;
      for (int k = 0; k < page; ++k) distance += (s.score[at * page + k] != 0.0f) != (s.list[1][k] != 0);
      ++at;
      if (!stays) s.number[go++] = distance << 32 | i;
    }
    std::sort(s.number, s.number + go);
    for (int i = 0; i < extra; ++i)
      s.list[0][kept + i] = static_cast<int>(s.number[index{i} * (go / extra)] & 0xffffffff);
    std::sort(s.list[0], s.list[0] + kept + extra);
    return kept + extra;
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
