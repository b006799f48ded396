// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of select::runs: the cosines of neighbouring keys, and one token of each run.
#pragma once
#include <kvsieve/device/score/score_rows.hpp>
#include <kvsieve/device/select/select_floating.hpp>
#include <kvsieve/device/tile/row_tile.hpp>
#include <kvsieve/select/runs.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of a launch over neighbours.
template <row_view Keys>
struct links_part {
  Keys keys;    ///< [heads, tokens, D]
  float* link;  ///< [heads] rows of `stride`
  index stride;
  int tokens;  ///< that are chosen from, which may be fewer than the rows of `keys`
};
template <row_view Keys>
struct links_args {
  batch<links_part<Keys>> views;
};

/// Block (segment, head, view): the cosine of the keys of t and t + 1 goes to place t; the last place is 0.
template <row_view Keys>
struct link_neighbours_body {
  static constexpr int D = head_dim_of<Keys>, width = row_lanes<D>;
  using slice = row_slice<D>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, links_args<Keys> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    auto const tile = b.template tile<width>();
    constexpr int tiles = Block::threads / width;
    int const first = w.x * segment_rows;
    if (first >= view.tokens) return;
    int const last = view.tokens - first < segment_rows ? view.tokens : first + segment_rows;
    float* const link = view.link + w.y * view.stride;
    for (int t = first + tile.index(); t < last; t += tiles) {
      float cosine = 0;
      if (t + 1 < view.tokens) {
        auto const x = slice::load(row_of(view.keys, w.y, t), tile.rank());
        auto const y = slice::load(row_of(view.keys, w.y, t + 1), tile.rank());
        fragment dot = splat(0.0f), xx = splat(0.0f), yy = splat(0.0f);
        KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
          dot = fma(x.part[i], y.part[i], dot);
          xx = fma(x.part[i], x.part[i], xx);
          yy = fma(y.part[i], y.part[i], yy);
        }
        float const first_norm = sqrt(tile.all_sum(device::sum(xx))), second = sqrt(tile.all_sum(device::sum(yy)));
        cosine = tile.all_sum(device::sum(dot)) /
                 ((first_norm < 1e-6f ? 1e-6f : first_norm) * (second < 1e-6f ? 1e-6f : second));
      }
      if (tile.rank() == 0) link[t] = cosine;
    }
  }
};

/// Block (0, head, view): one token of every run. A protected token is taken out of the links on both of its sides, and
/// is then a run of its own.
struct select_runs_body {
  template <block Block>
  using shared = row_pick::shared<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, floating_args<select::runs> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float* const score = view.score + w.y * view.stride;
    float* const link = view.link + w.y * view.stride;
    int* const list = view.list + w.y * view.stride;
    forced_set const asked = a.forced(view);
    int const tokens = view.tokens, forced = asked.size(), heavy = static_cast<int>(a.select.heavy * tokens);
    int const safe = heavy < tokens - forced ? forced + heavy : tokens;
    if (safe > 0) row_pick::run(b, score, 0, tokens, safe, asked.cut(safe), list, s);
    b.sync();
    for (int i = b.rank(); i < safe; i += Block::threads) {
      int const t = list[i];
      link[t] = -__builtin_inff();
      if (t > 0 && (i == 0 || list[i - 1] != t - 1)) link[t - 1] = -__builtin_inff();
    }
    b.sync();
    float const alike = a.select.alike;
    int const count = list_where(
        b, tokens, [&](int t) { return t == 0 || !(link[t - 1] >= alike); },
        [&](int at, int t) {
          int pivot = t;
          for (int i = t + 1; i < tokens && link[i - 1] >= alike; ++i)
            if (ordered(score[i]) > ordered(score[pivot])) pivot = i;
          list[at] = pivot;
        },
        s.scan);
    if (b.rank() == 0) view.count[w.y] = count;
    b.sync();
    row_pick::mark(b, score, 0, tokens, asked);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
