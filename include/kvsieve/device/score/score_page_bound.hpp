// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of score::page_bound: a tile of threads for every page, its extremes in their registers.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/tile/row_tile.hpp>
#include <kvsieve/score/page_bound.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// True for the score that has this body.
template <class Score>
inline constexpr bool bounds_pages = false;
/// @cond
template <int Page, int Part>
inline constexpr bool bounds_pages<score::page_bound<Page, Part>> = true;
/// @endcond

/// One view of a launch.
template <row_view Queries, row_view Keys>
struct bound_part {
  Keys keys;        ///< [heads, tokens, D]
  Queries queries;  ///< [heads * group, at least 1, D]; the last one asks
  float* score;     ///< [heads] rows of `stride`
  index stride;
  int tokens, group;
};

/// Block (its tiles' pages, head, view): the bounds of its pages. A lane keeps the bounds of one query head of the
/// group; a group of more than a tile has lanes reads the keys again for the others.
template <class Score, row_view Queries, row_view Keys>
struct page_bound_body {
  static constexpr int D = head_dim_of<Keys>, width = wide_row_lanes<D>;
  using slice = row_slice<D, width>;

  struct args {
    batch<bound_part<Queries, Keys>> views;
    typename Score::params params;
  };

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    auto const tile = b.template tile<width>();
    int const page = w.x * (Block::threads / width) + tile.index();
    if (page >= pieces(view.tokens, a.params.page)) return;
    int const from = page * a.params.page, to = view.tokens - from < a.params.page ? view.tokens : from + a.params.page;
    float* const score = view.score + w.y * view.stride;
    float largest = -__builtin_inff(), sum = 0;
    int asked = 0;
    for (int first = 0; first < view.group; first += width) {
      int const queries = view.group - first < width ? view.group - first : width;
      float bound = -__builtin_inff();  // of query head first + rank
      for (int begin = from; begin < to; begin += a.params.part) {
        int const end = to - begin < a.params.part ? to : begin + a.params.part;
        slice lo, hi;
        if (!widen(tile, view, w.y, begin, end, lo, hi, score)) continue;
        for (int g = 0; g < queries; ++g) {
          slice const q = query(tile, view, w.y, first + g);
          fragment terms = splat(0.0f);
          KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) terms =
              terms + max(q.part[i] * hi.part[i], q.part[i] * lo.part[i]);
          float const u = tile.all_sum(device::sum(terms));
          if (tile.rank() == g) bound = max(bound, u);
        }
      }
      for (int g = 0; g < queries; ++g) {
        bool const counts = usable(tile, query(tile, view, w.y, first + g));
        asked += counts;
        if (tile.rank() == g && !counts) bound = __builtin_nanf("");
      }
      bool const counts = tile.rank() < queries && bound == bound;
      largest = max(largest, tile.all_max(counts ? bound : -__builtin_inff()));
      sum += tile.all_sum(counts ? bound : 0.0f);
    }
    float const joined = asked == 0 ? 0.0f : a.params.mean_of_group ? sum / static_cast<float>(asked) : largest;
    if (tile.rank() != 0) return;  // the lane that marked the keys that take no part
    for (int t = from; t < to; ++t) score[t] = score[t] == 0.0f ? joined : score[t];
  }

 private:
  template <class Tile, class View>
  KVSIEVE_HD static slice query(Tile const& tile, View const& view, int head, int g) {
    return slice::load(row_of(view.queries, index{head} * view.group + g, view.queries.extent(1) - 1), tile.rank());
  }
  template <class Tile>
  KVSIEVE_HD static bool usable(Tile const& tile, slice const& x) {
    fragment squares = splat(0.0f);
    KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) squares = fma(x.part[i], x.part[i], squares);
    return finite(tile.all_sum(device::sum(squares)));
  }
  /// Extremes of the usable ones of keys [begin, end), whose scores become 0, those of the others NaN; false for none.
  template <class Tile, class View>
  KVSIEVE_HD static bool widen(Tile const& tile, View const& view, int head, int begin, int end, slice& lo, slice& hi,
                               float* score) {
    KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
      lo.part[i] = splat(__builtin_inff());
      hi.part[i] = splat(-__builtin_inff());
    }
    bool any = false;
    for (int t = begin; t < end; ++t) {
      slice const key = slice::load(row_of(view.keys, head, t), tile.rank());
      bool const counts = usable(tile, key);
      if (tile.rank() == 0) score[t] = counts ? 0.0f : __builtin_nanf("");
      if (!counts) continue;
      any = true;
      KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
        lo.part[i] = min(lo.part[i], key.part[i]);
        hi.part[i] = max(hi.part[i], key.part[i]);
      }
    }
    return any;
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
