// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of select::runs, and the cosines of neighbouring keys that it reads.
#pragma once
#include <kvsieve/host/row/row_math.hpp>
#include <kvsieve/host/select/run_links.hpp>
#include <kvsieve/host/select/selection.hpp>
#include <kvsieve/host/tasks.hpp>
#include <kvsieve/select/runs.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Writes the cosine of the keys of t and t + 1 to place t of each row; the last place is 0. `seen` has the tokens of
/// the rows, which may be fewer than a view's.
template <class Exec, class Layer>
void link_neighbours(Exec const& on, cs::span<Layer const> layers, cs::span<scored_view const> seen,
                     score_rows const& links) {
  for (std::size_t v = 0; v < layers.size(); ++v) {
    auto const& l = layers[v];
    index const heads = l.heads(), tokens = seen[v].tokens, segments = segments_of(tokens);
    on.for_each(heads * segments, [&](index task, int) {
      index const head = task / segments, first = task % segments * segment_rows;
      index const last = first + segment_rows < tokens ? first + segment_rows : tokens;
      float* const row = links.row(static_cast<index>(v), head, tokens);
      for (index t = first; t < last; ++t) row[t] = t + 1 < tokens ? cosine_between(l.keys, head, t, t + 1) : 0.0f;
    });
  }
}

template <>
struct selection<select::runs> {
  using params = select::runs::params;
  static constexpr bool needs_scores = true, needs_numbers = false;
  static constexpr int needs_lists = 2;

  static int run(params const& p, selection_row const& row, int* out, selection_scratch const& s) {
    int const tokens = row.seen.tokens, forced = row.forced.size();
    int const heavy = static_cast<int>(p.heavy * tokens);
    int const safe = heavy < tokens - forced ? forced + heavy : tokens;
    int* const list = s.list[0];
    top_k(row.score, tokens, safe, row.forced.cut(safe), 0, list, s.top);
    int const links =
        p.exact ? choose_links(row.weighed, tokens, list, safe, tokens - row.keep, s.score, s.list[1], s.top) : 0;
    int written = 0, next = 0, passed = 0;  // protected tokens and links in front of t
    auto const linked = [&](int t) {
      if (!p.exact) return row.weighed[t] >= p.alike;
      while (passed < links && s.list[1][passed] < t) ++passed;
      return passed < links && s.list[1][passed] == t;
    };
    for (int t = 0; t < tokens;) {
      if (next < safe && list[next] == t) {
        ++next;
        out[written++] = t++;
        continue;
      }
      int pivot = t;
      int const end = next < safe ? list[next] : tokens;  // where the next protected token stands
      for (++t; t < end && linked(t - 1); ++t)
        if (ordered(row.score[t]) > ordered(row.score[pivot])) pivot = t;
      out[written++] = pivot;
    }
    return written;
  }
  static shortage short_of(params const&, selection_row const&, selection_scratch const&) { return {}; }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
