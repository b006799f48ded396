// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Drivers of selections that cut a row into pieces: whole chunks, windows and pages; top-k inside chunks and spans.
#pragma once
#include <kvsieve/host/select/selection.hpp>
#include <kvsieve/select/chunks.hpp>
#include <kvsieve/select/pages.hpp>
#include <kvsieve/select/top_k_in_chunks.hpp>
#include <kvsieve/select/top_k_in_spans.hpp>
#include <kvsieve/select/windows.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
/// Writes the tokens of the `keep` pieces with the largest mean scores; returns how many.
inline int whole_pieces(selection_row const& row, select::row_pieces const& p, int keep, int* out,
                        selection_scratch const& s) {
  int const count = p.count();
  if (keep > count) keep = count;
  for (int i = 0; i < count; ++i) s.score[i] = select::detail::mean_finite(row.score + p.begin(i), p.size(i));
  forced_set const forced = select::detail::pieces_of(row.forced.within(0, p.tokens), p, s.list[1]);
  top_k(s.score, count, keep, forced.cut(keep), 0, s.list[0], s.top);
  int written = 0;
  for (int i = 0; i < keep; ++i) {
    int const begin = p.begin(s.list[0][i]), size = p.size(s.list[0][i]);
    for (int t = 0; t < size; ++t) out[written++] = begin + t;
  }
  return written;
}

struct whole_piece_needs {
  static constexpr bool needs_scores = true, needs_numbers = false;
  static constexpr int needs_lists = 2;
};
}  // namespace detail

template <class Select>
  requires select::in_whole_pieces<Select>
struct selection<Select> : detail::whole_piece_needs {
  using params = typename Select::params;
  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    auto const c = Select::choice(p, row.seen, row.share);
    if (c.by_token) return selection<select::top_k>::run({}, row, out, s);
    int const written = detail::whole_pieces(row, c.pieces, c.kept, out, s);
    for (int i = 0; i < c.rest; ++i) out[written + i] = row.seen.tokens - c.rest + i;
    return written + c.rest;
  }
  static shortage short_of(params const& p, selection_row const& row, selection_scratch const& s) {
    return Select::short_of(p, row.seen, row.share, row.forced, s.list[1]);
  }
};

template <>
struct selection<select::top_k_in_chunks> : selection_needs {
  using params = select::top_k_in_chunks::params;
  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    select::row_pieces const pieces{row.seen.tokens, p.length};
    int written = 0;
    for (int i = 0; i < pieces.count(); ++i) {
      int const begin = pieces.begin(i), size = pieces.size(i);
      int const keep = select::top_k_in_chunks::kept(row.share, size);
      top_k(row.score + begin, size, keep, row.forced.within(begin, size).cut(keep), begin, out + written, s.top);
      written += keep;
    }
    return written;
  }
  static shortage short_of(params const& p, selection_row const& row, selection_scratch const&) {
    return select::top_k_in_chunks::short_of(p, row.share, row.forced);
  }
};

template <>
struct selection<select::top_k_in_spans> {
  using params = select::top_k_in_spans::params;
  static constexpr bool needs_scores = false, needs_numbers = true;
  static constexpr int needs_lists = 1;

  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    using spans = select::top_k_in_spans;
    if (spans::whole(p, row.keep, row.forced)) return selection<select::top_k>::run({}, row, out, s);
    spans::share_out(p, row.keep, row.forced, s.list[0], s.number);
    int written = 0;
    for (int i = 0; i < spans::spans(p); ++i) {
      int const begin = spans::begin(p, i), size = spans::size(p, row.seen.tokens, i), keep = s.list[0][i];
      top_k(row.score + begin, size, keep, row.forced.within(begin, size).cut(keep), begin, out + written, s.top);
      written += keep;
    }
    return written;
  }
  static shortage short_of(params const& p, selection_row const& row, selection_scratch const&) {
    return select::top_k_in_spans::short_of(p, row.keep, row.forced);
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
