// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of budget::composite before its ranking: the keys of every head sorted, by tiles that are merged pair
// by pair, their means place by place, and the first view's raised.
#pragma once
#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/device/call/scores_part.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Keys that a thread holds, and those that a block sorts.
inline constexpr int sorted_by_thread = 4;
template <int Threads>
inline constexpr int sorted_tile = Threads * sorted_by_thread;

/// Keys [first, first + sorted_by_thread) of two descending rows as one.
KVSIEVE_HD inline void merge_rows_from(unsigned const* a, index of_a, unsigned const* b, index of_b, index first,
                                       unsigned (&key)[sorted_by_thread]) {
  index i = first < of_b ? 0 : first - of_b, end = first < of_a ? first : of_a;
  while (i < end) {  // how many of those before are of a
    index const middle = i + (end - i) / 2;
    if (a[middle] >= b[first - 1 - middle])
      i = middle + 1;
    else
      end = middle;
  }
  index j = first - i;
  KVSIEVE_UNROLL for (int k = 0; k < sorted_by_thread; ++k) {
    bool const left = i < of_a, right = j < of_b, of_first = left && (!right || a[i] >= b[j]);
    key[k] = of_first ? a[i] : right ? b[j] : 0u;
    i += of_first;
    j += !of_first;
  }
}

/// One view of the first launch.
struct sort_part {
  float const* score;  ///< [heads] rows of `stride`
  unsigned* key;       ///< the same
  index stride;
  int tokens, sink, recent;
};
struct sort_args {
  batch<sort_part> views;
  int const* white_list;
  int white_count;
};

/// Block (tile, head, view): its keys, the largest first; a forced token has the key of a NaN.
struct sort_tiles_body {
  template <block Block>
  struct shared {
    unsigned key[sorted_tile<Block::threads>];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, sort_args const& a, work w, shared<Block>& s) {
    constexpr int tile = sorted_tile<Block::threads>;
    auto const& view = a.views.part[w.z];
    index const first = index{w.x} * tile;
    if (first >= view.tokens) return;
    forced_set const forced{view.tokens, view.sink, view.recent, a.white_list, a.white_count};
    float const* const score = view.score + w.y * view.stride;
    unsigned key[sorted_by_thread];
    KVSIEVE_UNROLL for (int j = 0; j < sorted_by_thread; ++j) {
      index const t = first + j * Block::threads + b.rank();
      key[j] = t < view.tokens && !forced.holds(static_cast<int>(t)) ? ordered(score[t]) : 0u;
    }
    // Any order of pairs that sorts four.
    exchange(key[0], key[1]);
    exchange(key[2], key[3]);
    exchange(key[0], key[2]);
    exchange(key[1], key[3]);
    exchange(key[1], key[2]);
    int const own = b.rank() * sorted_by_thread;
    KVSIEVE_UNROLL for (int j = 0; j < sorted_by_thread; ++j) s.key[own + j] = key[j];
    b.sync();
    for (int run = sorted_by_thread; run < tile; run *= 2) {
      int const pair = own / (2 * run) * (2 * run);
      merge_rows_from(s.key + pair, run, s.key + pair + run, run, own - pair, key);
      b.sync();
      KVSIEVE_UNROLL for (int j = 0; j < sorted_by_thread; ++j) s.key[own + j] = key[j];
      b.sync();
    }
    unsigned* const to = view.key + w.y * view.stride;
    for (int i = b.rank(); i < tile && first + i < view.tokens; i += Block::threads) to[first + i] = s.key[i];
  }

 private:
  KVSIEVE_HD static void exchange(unsigned& x, unsigned& y) {
    unsigned const most = x < y ? y : x;
    y = x < y ? x : y;
    x = most;
  }
};

/// One view of a launch that merges.
struct merge_runs_part {
  unsigned const* from;  ///< [heads] rows of `stride`
  unsigned* to;          ///< the same
  index stride;
  int tokens;
};
struct merge_runs_args {
  batch<merge_runs_part> views;
  index run;  ///< keys that are in order already
};

/// Block (tile, head, view): its part of pairs of runs merged.
struct merge_runs_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, merge_runs_args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    index const own = index{w.x} * sorted_tile<Block::threads> + b.rank() * sorted_by_thread;
    if (own >= view.tokens) return;
    index const pair = own / (2 * a.run) * (2 * a.run), left = view.tokens - pair;
    index const of_a = left < a.run ? left : a.run, of_b = left < 2 * a.run ? left - of_a : a.run;
    unsigned const* const from = view.from + w.y * view.stride + pair;
    unsigned key[sorted_by_thread];
    merge_rows_from(from, of_a, from + of_a, of_b, own - pair, key);
    unsigned* const to = view.to + w.y * view.stride;
    KVSIEVE_UNROLL for (int j = 0; j < sorted_by_thread; ++j) {
      if (own + j < view.tokens) to[own + j] = key[j];
    }
  }
};

/// Where the curve of a view lies, and how many places it has.
struct curve_row {
  index at;  ///< in the memory of all curves
  int places;
};
/// One view of a launch that makes curves.
struct curve_part {
  unsigned const* key;  ///< [heads] rows of `stride`, in order
  float* curve;         ///< [tokens]
  curve_row* row;       ///< of this view
  index stride;
  int heads, tokens, sink, recent;
};
struct curve_args {
  batch<curve_part> views;
  int const* white_list;
  int white_count;
};

/// Block (segment, 0, view): the mean over the heads at its places; forced tokens have none.
struct mean_curve_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, curve_args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const left = view.tokens - forced_set{view.tokens, view.sink, view.recent, a.white_list, a.white_count}.size();
    // A white list that does not ascend costs its meaning and nothing else.
    int const places = left < 0 ? 0 : left < view.tokens ? left : view.tokens;
    if (w.x == 0 && b.rank() == 0) view.row->places = places;
    each_score(b, w.x, places, [&](int t) {
      double sum = 0;
      unsigned lowest = ~0u;
      for (int h = 0; h < view.heads; ++h) {
        unsigned const key = view.key[h * view.stride + t];
        sum += static_cast<double>(score_of(key));
        lowest = lowest < key ? lowest : key;
      }
      view.curve[t] = score_of(key_of_mean(sum, lowest, view.heads));
    });
  }
};

/// One sequence.
struct raise_part {
  float* curve;          ///< of all views
  curve_row const* row;  ///< [views]
  int views;
};
struct raise_args {
  batch<raise_part> views;
};

/// Block (segment, 0, sequence): the first view's curve raised to the others' wherever it is lower.
struct raise_curve_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, raise_args const& a, work w, shared<Block>&) {
    auto const& part = a.views.part[w.z];
    float* const first = part.curve + part.row[0].at;
    each_score(b, w.x, part.row[0].places, [&](int t) {
      float most = first[t];
      for (int i = 1; i < part.views; ++i) {
        curve_row const& row = part.row[i];
        if (t < row.places && ordered(most) < ordered(part.curve[row.at + t])) most = part.curve[row.at + t];
      }
      first[t] = most;
    });
  }
};

struct spread_counts_args {
  int const* of_view;  ///< [views]
  int* count;          ///< [views, heads]
  index rows;
  int heads;
};

/// Block (0, 0, 0): all heads of a view keep what it keeps.
struct spread_counts_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, spread_counts_args const& a, work, shared<Block>&) {
    for (index i = b.rank(); i < a.rows; i += Block::threads) a.count[i] = a.of_view[i / a.heads];
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
