// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How score::page_bound looks at a KV head: extremes of part after part in one read, and their bound for each query.
#pragma once
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/row/row_panel.hpp>
#include <kvsieve/host/score/score_per_head.hpp>
#include <kvsieve/score/page_bound.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <int Page, int Part>
struct head_scorer<score::page_bound<Page, Part>> {
  using params = typename score::page_bound<Page, Part>::params;

  /// Scratch of a worker.
  struct room {
    float *panel, *query, *bound;  ///< rows; the queries of the group [group, D]; bounds of a page [group]
  };
  /// Takes it from an arena.
  template <class Extents>
  static room carve(arena& a, Extents const& e, params const&) {
    auto const floats = [&](index n) { return a.take<float>(static_cast<std::size_t>(n)); };
    return {floats(index{panel_rows} * e.head_dim), floats(round_up<index>(e.group, panel_rows) * e.head_dim),
            floats(e.group)};
  }

  /// Scores one KV head.
  template <class Head>
  static void score_head(params const& p, Head const& h, room const& r, float* score) {
    constexpr int D = Head::head_dim;
    index const tokens = h.tokens();
    int const asked = gather(h, r);
    float lo[D], hi[D];
    for (index from = 0; from < tokens; from += p.page) {
      index const to = tokens - from < p.page ? tokens : from + p.page;
      for (int g = 0; g < asked; ++g) r.bound[g] = -__builtin_inff();
      for (index begin = from; begin < to; begin += p.part) {
        index const end = to - begin < p.part ? to : begin + p.part;
        int count = 0;  // keys in the extremes
        for (index row = begin; row < end; row += panel_rows)
          count += widen(h.layer.keys, h.head, row, end - row < panel_rows ? end : row + panel_rows, count == 0, lo, hi,
                         score);
        for (int g = 0; g < asked && count > 0; ++g) {
          float const u = bound_of<D>(r.query + index{g} * D, lo, hi);
          r.bound[g] = r.bound[g] < u ? u : r.bound[g];
        }
      }
      float const joined = join(p, r.bound, asked);
      for (index t = from; t < to; ++t) score[t] = score[t] == 0.0f ? joined : score[t];
    }
  }

 private:
  // The usable ones of the group's last queries, one behind another; returns how many.
  template <class Head>
  static int gather(Head const& h, room const& r) {
    constexpr int D = Head::head_dim;
    index const last = h.queries->extent(1) - 1;
    int usable = 0;
    for (int g = 0; g < h.group; ++g)
      head_rows(*h.queries, h.head * h.group + g, last, last + 1)
          .each_panel(r.panel, [&](index, int, float const* x, unsigned long long bad) {
            if (bad != 0) return;
            for (int d = 0; d < D; ++d) r.query[index{usable} * D + d] = x[d];
            ++usable;
          });
    return usable;
  }
  // Extremes with the usable ones of rows [from, to) in them, at most panel_rows; their scores become 0, those of the
  // others NaN. Returns how many there were.
  template <row_view Keys>
  static int widen(Keys const& keys, index head, index from, index to, bool first, float* lo, float* hi, float* score) {
    constexpr int D = head_dim_of<Keys>, lanes = fragment::lanes, together = D % (4 * lanes) == 0 ? 4 : 1;
    index rows[panel_rows];
    int count = 0;
    for (index t = from; t < to; ++t) {
      auto const key = row_of(keys, head, t);
      fragment squares[together];
      KVSIEVE_UNROLL for (int c = 0; c < together; ++c) squares[c] = fragment(0.0f);
      for (int d = 0; d < D; d += together * lanes) KVSIEVE_UNROLL for (int c = 0; c < together; ++c) {
          fragment const k = load_row(key, d + c * lanes);
          squares[c] = fma(k, k, squares[c]);
        }
      KVSIEVE_UNROLL for (int c = 1; c < together; ++c) squares[0] += squares[c];
      float const all = sum(squares[0]);
      bool const usable = all - all == 0.0f;
      score[t] = usable ? 0.0f : __builtin_nanf("");
      rows[count] = t;
      count += usable;
    }
    if (count == 0) return 0;
    for (int d = 0; d < D; d += together * lanes) {
      fragment l[together], h[together];
      KVSIEVE_UNROLL for (int c = 0; c < together; ++c) {
        fragment const k = load_row(row_of(keys, head, rows[0]), d + c * lanes);
        l[c] = first ? k : min(load(lo + d + c * lanes), k);
        h[c] = first ? k : max(load(hi + d + c * lanes), k);
      }
      for (int i = 1; i < count; ++i) {
        auto const key = row_of(keys, head, rows[i]);
        KVSIEVE_UNROLL for (int c = 0; c < together; ++c) {
          fragment const k = load_row(key, d + c * lanes);
          l[c] = min(l[c], k);
          h[c] = max(h[c], k);
        }
      }
      KVSIEVE_UNROLL for (int c = 0; c < together; ++c) {
        store(lo + d + c * lanes, l[c]);
        store(hi + d + c * lanes, h[c]);
      }
    }
    return count;
  }
  template <int D>
  static float bound_of(float const* query, float const* lo, float const* hi) {
    fragment sums(0.0f);
    for (int d = 0; d < D; d += fragment::lanes) {
      fragment const q = load(query + d);
      sums += max(q * load(hi + d), q * load(lo + d));
    }
    return sum(sums);
  }
  static float join(params const& p, float const* bound, int asked) {
    if (asked == 0) return 0;
    float largest = bound[0];
    double total = 0;
    for (int g = 0; g < asked; ++g) {
      largest = largest < bound[g] ? bound[g] : largest;
      total += static_cast<double>(bound[g]);
    }
    return p.mean_of_group ? static_cast<float>(total / asked) : largest;
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
