// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Drivers of selections that cut a row into pieces: whole chunks, windows and pages; top-k inside chunks and spans.
#pragma once
#include <kvsieve/core/counts.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/selection.hpp>
#include <kvsieve/select/chunks.hpp>
#include <kvsieve/select/pages.hpp>
#include <kvsieve/select/top_k_in_chunks.hpp>
#include <kvsieve/select/top_k_in_spans.hpp>
#include <kvsieve/select/windows.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// The first tokens of a row, cut into pieces of `length`, the last one maybe shorter.
struct row_pieces {
  int tokens, length;
  [[nodiscard]] int count() const { return tokens / length + (tokens % length != 0 ? 1 : 0); }
  [[nodiscard]] int begin(int piece) const { return piece * length; }
  [[nodiscard]] int size(int piece) const { return tokens - begin(piece) < length ? tokens - begin(piece) : length; }
};

namespace detail {
/// Mean of the finite ones of n scores, added up in double in their order; NaN where there is none.
inline float mean_finite(float const* score, int n) {
  double sum = 0;
  int count = 0;
  for (int i = 0; i < n; ++i) {
    bool const counts = finite(score[i]);
    sum += counts ? static_cast<double>(score[i]) : 0.0;
    count += counts;
  }
  return count == 0 ? __builtin_nanf("") : static_cast<float>(sum / count);
}

/// The pieces that hold a token of `forced`, which speaks of their tokens; `list` gets those of the white list.
inline forced_set pieces_of(forced_set const& forced, row_pieces const& p, int* list) {
  forced_set f;
  f.tokens = p.count();
  f.sink = row_pieces{forced.sink, p.length}.count();
  f.recent = forced.recent > 0 ? f.tokens - (p.tokens - forced.recent) / p.length : 0;
  f.white_list = list;
  for (int i = 0; i < forced.white_count; ++i) {
    int const piece = (forced.white_list[i] - forced.first) / p.length;
    if (f.white_count == 0 || list[f.white_count - 1] != piece) list[f.white_count++] = piece;
  }
  return f;
}

/// Writes the tokens of the `keep` pieces with the largest mean scores; returns how many.
inline int whole_pieces(selection_row const& row, row_pieces const& p, int keep, int* out, selection_scratch const& s) {
  int const count = p.count();
  if (keep > count) keep = count;
  for (int i = 0; i < count; ++i) s.score[i] = mean_finite(row.score + p.begin(i), p.size(i));
  forced_set const forced = pieces_of(row.forced.within(0, p.tokens), p, s.list[1]);
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

template <>
struct selection<select::chunks> : detail::whole_piece_needs {
  using params = select::chunks::params;
  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    if (row.seen.tokens < p.length) return selection<select::top_k>::run({}, row, out, s);
    row_pieces const pieces{row.seen.tokens, p.length};
    return detail::whole_pieces(row, pieces, select::chunks::kept(row.share, pieces.count()), out, s);
  }
  static shortage short_of(params const& p, selection_row const& row, selection_scratch const& s) {
    if (row.seen.tokens < p.length) return selection<select::top_k>::short_of({}, row, s);
    row_pieces const pieces{row.seen.tokens, p.length};
    return {select::chunks::kept(row.share, pieces.count()), detail::pieces_of(row.forced, pieces, s.list[1]).size(),
            "chunks, less than those with forced tokens,"};
  }
};

template <>
struct selection<select::windows> : detail::whole_piece_needs {
  using params = select::windows::params;
  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    int const tokens = row.seen.tokens, suffix = suffix_of(row), before = tokens - suffix;
    int const written = detail::whole_pieces(row, {before, p.length}, kept(p, row), out, s);
    int const left = suffix < row.keep ? suffix : row.keep;
    for (int i = 0; i < left; ++i) out[written + i] = tokens - left + i;
    return written + left;
  }
  static shortage short_of(params const& p, selection_row const& row, selection_scratch const& s) {
    int const suffix = suffix_of(row), before = row.seen.tokens - suffix;
    if (row.keep < suffix) return {row.keep, suffix};
    return {kept(p, row), detail::pieces_of(row.forced.within(0, before), {before, p.length}, s.list[1]).size(),
            "windows, less than those with forced tokens,"};
  }

 private:
  static int suffix_of(selection_row const& row) {
    return row.seen.ends.tail < row.seen.tokens ? row.seen.ends.tail : row.seen.tokens;
  }
  static int kept(params const& p, selection_row const& row) {
    int const suffix = suffix_of(row), before = row.seen.tokens - suffix;
    int const room = row.keep < suffix ? 0 : row.keep - suffix;
    return select::windows::kept(p.length, row_pieces{before, p.length}.count(), before, room);
  }
};

template <>
struct selection<select::pages> : detail::whole_piece_needs {
  using params = select::pages::params;
  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    auto const t = select::pages::of(p, row.share);
    row_pieces const others{t.others * p.page, p.page};
    int const written = detail::whole_pieces(row, others, t.kept, out, s);
    for (int i = 0; i < t.newest; ++i) out[written + i] = others.tokens + i;
    return written + t.newest;
  }
  static shortage short_of(params const& p, selection_row const& row, selection_scratch const& s) {
    auto const t = select::pages::of(p, row.share);
    if (row.share.kept < t.newest) return {row.share.kept, t.newest, "less than the newest page,"};
    row_pieces const others{t.others * p.page, p.page};
    return {t.kept, detail::pieces_of(row.forced.within(0, others.tokens), others, s.list[1]).size(),
            "pages beside the newest, less than those with forced tokens,"};
  }
};

template <>
struct selection<select::top_k_in_chunks> : selection_needs {
  using params = select::top_k_in_chunks::params;
  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    row_pieces const pieces{row.seen.tokens, p.length};
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
    // Where all that stays is forced there is nothing to share.
    if (p.quota.empty() && row.forced.size() > row.keep) return selection<select::top_k>::run({}, row, out, s);
    fill_quotas(p, row, s);
    int written = 0;
    for (int i = 0; i < count(p); ++i) {
      int const begin = begin_of(p, i), size = size_of(p, row, i), keep = s.list[0][i];
      top_k(row.score + begin, size, keep, row.forced.within(begin, size).cut(keep), begin, out + written, s.top);
      written += keep;
    }
    return written;
  }
  static shortage short_of(params const& p, selection_row const& row, selection_scratch const&) {
    if (p.quota.empty()) return {row.keep, row.forced.size()};
    shortage first;
    for (int i = 0; i < count(p); ++i) {
      int const keep = p.quota[static_cast<cs::size_t>(i)];
      int const needed = row.forced.within(begin_of(p, i), size_of(p, row, i)).size();
      if (first.needed <= first.budget) first = {keep, needed, "in a span, less than its forced tokens,"};
    }
    return first;
  }

 private:
  static int count(params const& p) { return p.spans.empty() ? 1 : static_cast<int>(p.spans.size() / 2); }
  static int begin_of(params const& p, int i) {
    return p.spans.empty() ? 0 : p.spans[cs::size_t{2} * static_cast<cs::size_t>(i)];
  }
  static int size_of(params const& p, selection_row const& row, int i) {
    return p.spans.empty() ? row.seen.tokens : p.spans[cs::size_t{2} * static_cast<cs::size_t>(i) + 1] - begin_of(p, i);
  }

  /// Fills s.list[0] with what each span keeps.
  static void fill_quotas(params const& p, selection_row const& row, selection_scratch const& s) {
    int const spans = count(p);
    for (int i = 0; i < spans; ++i) s.list[0][i] = p.quota.empty() ? -1 : p.quota[static_cast<cs::size_t>(i)];
    if (!p.quota.empty()) return;
    // A span whose share is less than its forced tokens takes these and leaves; that only lowers the other shares.
    int left = row.keep;
    for (bool again = true; again;) {
      auto const weight = [&](index i) {
        return s.list[0][i] < 0 ? index{size_of(p, row, static_cast<int>(i))} : index{0};
      };
      counts::apportion(spans, left, weight, weight, s.number);
      again = false;
      for (int i = 0; i < spans; ++i) {
        if (s.list[0][i] >= 0) continue;
        int const needed = row.forced.within(begin_of(p, i), size_of(p, row, i)).size();
        if (s.number[i] >= needed) continue;
        s.list[0][i] = needed;
        left -= needed;
        again = true;
      }
    }
    for (int i = 0; i < spans; ++i)
      if (s.list[0][i] < 0) s.list[0][i] = static_cast<int>(s.number[i]);
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
