// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies around the selection of whole pieces: what a piece scores, and the tokens of those that stay.
#pragma once
#include <kvsieve/core/forced.hpp>
#include <kvsieve/device/call/scores_part.hpp>
#include <kvsieve/select/whole_pieces.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of a launch over pieces.
struct means_part {
  float const* score;  ///< [heads] rows of `stride`
  float* mean;         ///< the same, by piece
  index stride;
  select::row_pieces pieces;
  bool by_token;  ///< pieces are tokens, and score what these score
};
struct means_args {
  batch<means_part> views;
};

/// Block (segment, head, view): the mean scores of its pieces, one for each of its threads.
struct piece_means_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, means_args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    index const piece = index{w.x} * Block::threads + b.rank();
    if (piece >= view.pieces.count()) return;
    int const i = static_cast<int>(piece);
    float const* const score = view.score + w.y * view.stride + view.pieces.begin(i);
    view.mean[w.y * view.stride + i] = view.by_token ? *score : select::detail::mean_finite(score, view.pieces.size(i));
  }
};

/// One view of a launch that looks for its pieces in the white list.
struct listed_part {
  int* listed;  ///< [white_count]
  select::row_pieces pieces;
};
struct listed_args {
  batch<listed_part> views;
  int const* white_list;
  int white_count;
};

/// Block (0, 0, view): the pieces that hold a listed token, each once; what is left of `listed` lies outside of any
/// row.
struct listed_pieces_body {
  template <block Block>
  struct shared {
    typename Block::scan_storage scan;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, listed_args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    auto const piece_of = [&](index i) {
      int const t = a.white_list[i];
      return t < 0 || t >= view.pieces.tokens ? -1 : t / view.pieces.length;
    };
    unsigned found = 0;
    for (index base = 0; base < a.white_count; base += Block::threads) {
      index const i = base + b.rank();
      int const piece = i < a.white_count ? piece_of(i) : -1;
      bool const first = piece >= 0 && (i == 0 || piece_of(i - 1) != piece);
      unsigned total = 0;
      unsigned const before = b.exclusive_sum(first ? 1u : 0u, total, s.scan);
      if (first) view.listed[found + before] = piece;
      found += total;
    }
    for (index i = index{found} + b.rank(); i < a.white_count; i += Block::threads) view.listed[i] = 0x7fffffff;
  }
};

/// One view of a launch that lists the tokens of pieces.
struct spread_part {
  float* score;      ///< [heads] rows of `stride`; forced tokens are marked +inf
  int* list;         ///< [heads] lists of `keep` tokens
  int const* piece;  ///< [heads] lists of pieces that stay, `keep` apart
  index stride;
  int tokens, keep, sink, recent;
  int length;  ///< tokens of a piece
  int rest;    ///< last tokens of the row, which stay
};
struct spread_args {
  batch<spread_part> views;
  int const* white_list;
  int white_count;
};

/// Block (segment, head, view): the tokens of the pieces that stay, ascending, and the marks of the forced ones.
struct spread_pieces_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, spread_args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    float* const score = view.score + w.y * view.stride;
    int* const list = view.list + index{w.y} * view.keep;
    int const* const piece = view.piece + index{w.y} * view.keep;
    forced_set const forced{view.tokens, view.sink, view.recent, a.white_list, a.white_count};
    each_score(b, w.x, view.tokens, [&](int t) {
      if (t < view.keep - view.rest)
        list[t] = piece[t / view.length] * view.length + t % view.length;
      else if (t < view.keep)
        list[t] = view.tokens - (view.keep - t);
      if (forced.holds(t)) score[t] = __builtin_inff();
    });
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
