// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of select::page_representatives: the pages that stay by their scores, and those that stand for others.
#pragma once
#include <kvsieve/device/select/select.hpp>
#include <kvsieve/device/select/select_floating.hpp>
#include <kvsieve/select/page_representatives.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of such a selection among its pages beside the newest.
struct representatives_part {
  float const* score;  ///< [heads] rows of `stride`, by token
  float* mean;         ///< the same, by page; then their places among those that may go, and how many bits differ
  float* open;         ///< the same, by token: scores of those that may go, then their bits
  int* place;          ///< the same: scratch
  int* page;           ///< [heads] lists of pages that stay, `list_stride` apart
  index stride, list_stride;
  select::row_pieces pages;
  int keep;              ///< pages that stay
  int sink, recent;      ///< of the pages, those that stay in any case
  int const* listed;     ///< pages that hold a token of the white list
  int listed_count = 0;  ///< entries of `listed`
};
struct representatives_args {
  batch<representatives_part> views;
  select::page_representatives::params select;
};

/// Block (0, head, view): the pages that stay, ascending.
struct select_representatives_body {
  template <block Block>
  struct shared {
    row_pick::shared<Block> pick;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, representatives_args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float const* const score = view.score + w.y * view.stride;
    float* const mean = view.mean + w.y * view.stride;
    float* const open = view.open + w.y * view.stride;
    int* const place = view.place + w.y * view.stride;
    int* const page = view.page + w.y * view.list_stride;
    int const pages = view.pages.count(), length = view.pages.length;
    forced_set const asked{pages, view.sink, view.recent, view.listed, view.listed_count};
    // Counted, not computed: a white list that does not ascend costs its meaning and nothing else.
    int const opens = list_where(
        b, pages, [&](int i) { return !asked.holds(i); }, [&](int at, int i) { place[i] = at; }, s.pick.scan);
    int const by_rule = static_cast<int>(view.keep * a.select.representatives);
    int const most = view.keep - (pages - opens < view.keep ? pages - opens : view.keep);
    int const extra = by_rule < most ? by_rule : most, kept = view.keep - extra;
    if (kept > 0) row_pick::run(b, mean, 0, pages, kept, asked.cut(kept), page, s.pick);
    if (extra == 0) return;

    // Scores of the tokens that may go, one behind another; then a bit for each.
    b.sync();
    for (int i = b.rank(); i < pages; i += Block::threads)
      mean[i] = asked.holds(i) ? -1.0f : static_cast<float>(place[i]);
    b.sync();
    for (int t = b.rank(); t < view.pages.tokens; t += Block::threads) {
      float const at = mean[t / length];
      if (at >= 0.0f) open[index{static_cast<int>(at)} * length + t % length] = score[t];
    }
    b.sync();
    int const tokens = opens * length, upper = tokens / 2;
    if (upper > 0) row_pick::run(b, open, 0, tokens, upper, forced_set{tokens, 0, 0, nullptr, 0}, place, s.pick);
    b.sync();
    for (int t = b.rank(); t < tokens; t += Block::threads) open[t] = 0;
    b.sync();
    for (int i = b.rank(); i < upper; i += Block::threads) open[place[i]] = 1;
    b.sync();
    for (int k = b.rank(); k < length; k += Block::threads) {
      int ones = 0;
      for (int t = k; t < tokens; t += length) ones += open[t] != 0.0f ? 1 : 0;
      place[k] = select::page_representatives::anchor_bit(a.select, k, ones, opens) ? 1 : 0;
    }
    b.sync();
    // In how many bits a page that would go differs; less than 0: it stays.
    for (int i = b.rank(); i < pages; i += Block::threads) {
      int distance = 0;
      if (float const at = mean[i]; at >= 0.0f) {
        float const* const bits = open + index{static_cast<int>(at)} * length;
        for (int k = 0; k < length; ++k) distance += (bits[k] != 0.0f) != (place[k] != 0) ? 1 : 0;
      }
      mean[i] = static_cast<float>(distance);
    }
    b.sync();
    for (int i = b.rank(); i < kept; i += Block::threads) mean[page[i]] = -1;
    b.sync();
    int const step = (pages - kept) / extra;
    for (int i = b.rank(); i < pages; i += Block::threads) {
      float const own = mean[i];
      int rank = 0;
      if (own >= 0.0f)
        for (int j = 0; j < pages; ++j) rank += mean[j] >= 0.0f && (mean[j] < own || (mean[j] == own && j < i)) ? 1 : 0;
      place[i] = own < 0.0f || (rank % step == 0 && rank / step < extra) ? 1 : 0;
    }
    b.sync();
    (void)list_where(b, pages, [&](int i) { return place[i] != 0; }, [&](int at, int i) { page[at] = i; }, s.pick.scan);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
