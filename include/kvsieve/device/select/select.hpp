// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of selection: radix select over ordered keys, then a stable compaction of the indices.
#pragma once
#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The keys by which a row of scores is ranked: forced tokens come before all others, NaN behind.
struct row_keys {
  float const* score;  ///< of the row's first token
  forced_set forced;   ///< in the row's own numbers

  /// What is read of token i.
  [[nodiscard]] KVSIEVE_HD float read(index i) const { return score[i]; }
  /// The key of token i, of which that was read.
  [[nodiscard]] KVSIEVE_HD unsigned key(float read, index i) const {
    return forced.holds(static_cast<int>(i)) ? forced_key : ordered(read);
  }
};

/// The smallest key that stays, and how many of those that have it do: the first ones.
struct row_cut {
  unsigned limit = 0, ties = 0;
};

/// The radix selection of one row by one block.
struct row_pick {
  static constexpr int bins = 256, per_thread = 8;

  template <block Block>
  struct shared {
    unsigned histogram[bins];
    unsigned prefix, remaining;
    typename Block::scan_storage scan;
  };

  /// `score` is that of token `begin`; `length` tokens, `keep` of them go into `list`.
  template <block Block>
  KVSIEVE_HD static void run(Block& b, float const* score, int begin, int length, int keep, forced_set const& forced,
                             int* list, shared<Block>& s) {
    row_keys const keys{score, forced};
    row_cut const cut = find(b, keys, length, static_cast<unsigned>(keep), s);
    write(b, keys, begin, 0, length, cut, 0, 0, list, s);
  }

  /// The cut that keeps `keep` of `length` keys, 8 bits at a time. All threads get it; ends with a sync.
  template <block Block, class Keys>
  KVSIEVE_HD static row_cut find(Block& b, Keys const& keys, index length, unsigned keep, shared<Block>& s) {
    if (b.rank() == 0) {
      s.prefix = 0;
      s.remaining = keep;
    }
    unsigned known = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
      for (int i = b.rank(); i < bins; i += Block::threads) s.histogram[i] = 0;
      b.sync();
      unsigned const prefix = s.prefix, remaining = s.remaining;
      for (index first = b.rank(); first < length; first += index{Block::threads} * per_thread) {
        decltype(keys.read(0)) x[per_thread];  // before the first is counted: a block has few reads under way
        KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) {
          index const i = first + j * Block::threads;
          x[j] = i < length ? keys.read(i) : 0;
        }
        KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) {
          index const i = first + j * Block::threads;
          if (i >= length) continue;
          unsigned const key = keys.key(x[j], i);
          if ((key & known) == prefix) b.atomic_add(s.histogram[key >> shift & 255u], 1u);
        }
      }
      b.sync();
      find_bin(b, shift, prefix, remaining, s);
      known |= 255u << shift;
      b.sync();
    }
    row_cut const cut{s.prefix, s.remaining};
    b.sync();
    return cut;
  }

  /// Lists tokens [from, to) of a row that stay, as indices from `begin` on; `above` tokens before them lie above the
  /// cut, and `equal` have its key. Each thread looks at neighbouring tokens. A chunk holds at most 2^15 of them, so
  /// both of its counts fit in one word; the running counts have a word each.
  template <block Block>
  KVSIEVE_HD static void write(Block& b, row_keys const& keys, int begin, index from, index to, row_cut cut,
                               unsigned above_before, unsigned equal_before, int* list, shared<Block>& s) {
    constexpr int chunk = Block::threads * per_thread;
    static_assert(chunk <= 1 << 15);
    unsigned const ties = cut.ties;
    for (index base = from; base < to; base += chunk) {
      unsigned key[per_thread], found = 0;
      index const first = base + b.rank() * per_thread;
      KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) {
        key[j] = 0;
        if (first + j >= to) continue;
        key[j] = keys.key(keys.read(first + j), first + j);
        found += key[j] > cut.limit ? 1u : key[j] == cut.limit ? 1u << 16 : 0u;
      }
      unsigned total = 0;
      unsigned const before = b.exclusive_sum(found, total, s.scan);
      unsigned above = above_before + (before & 0xffffu), equal = equal_before + (before >> 16);
      KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) {
        if (first + j >= to) continue;
        int const token = begin + static_cast<int>(first + j);
        if (key[j] > cut.limit) {
          list[above + (equal < ties ? equal : ties)] = token;
          ++above;
        } else if (key[j] == cut.limit) {
          if (equal < ties) list[above + equal] = token;
          ++equal;
        }
      }
      above_before += total & 0xffffu;
      equal_before += total >> 16;
    }
  }

  /// Marks what was asked for of tokens [from, to), also what gave way. write() syncs after its last look at a score.
  template <block Block>
  KVSIEVE_HD static void mark(Block& b, float* score, index from, index to, forced_set const& asked) {
    for (index t = from + b.rank(); t < to; t += Block::threads) {
      if (asked.holds(static_cast<int>(t))) score[t] = __builtin_inff();
    }
  }

 private:
  /// Finds, from the top, the bin that holds the last token that stays, and how many before it are left to keep.
  template <block Block>
  KVSIEVE_HD static void find_bin(Block& b, int shift, unsigned prefix, unsigned remaining, shared<Block>& s) {
    constexpr int per = bins / Block::threads > 0 ? bins / Block::threads : 1;
    static_assert(bins % Block::threads == 0 || Block::threads % bins == 0);
    int const first = b.rank() * per;  // counted from the highest bin
    unsigned own = 0;
    for (int j = first; j < first + per && j < bins; ++j) own += s.histogram[bins - 1 - j];
    unsigned total = 0, before = b.exclusive_sum(own, total, s.scan);
    if (before >= remaining || before + own < remaining) return;
    for (int j = first; j < first + per; ++j) {
      unsigned const count = s.histogram[bins - 1 - j];
      if (before + count >= remaining) {
        s.prefix = prefix | static_cast<unsigned>(bins - 1 - j) << shift;
        s.remaining = remaining - before;
        return;
      }
      before += count;
    }
  }
};

/// One view of a selection. Each row is cut into spans.count spans in which `keep` tokens stay, and one of
/// `last_length` behind them in which `last_keep` stay; what lies before and behind all of them stays whole.
struct select_part {
  float* score;  ///< [heads] rows of `stride`; forced tokens are marked +inf
  int* list;     ///< [heads] lists of `list_stride` indices
  index stride, list_stride;
  int tokens, keep, sink, recent;
  partition spans;
  int last_length = 0, last_keep = 0;
  int const* listed = nullptr;  ///< a white list of this view alone, in place of the call's
  int listed_count = 0;
  bool inside_only = false;  ///< `list` is that of the spans, and what lies outside of them is not listed
  bool marks = true;         ///< forced tokens are marked
};
struct select_args {
  batch<select_part> views;
  int const* white_list;
  int white_count;
};

/// Block (span, head, view): the indices of the `keep` largest scores of its span, ascending; the span behind the equal
/// ones is the last. Forced tokens come before all others; equal scores: the smaller index; NaN ranks below -inf.
struct select_body {
  template <block Block>
  using shared = row_pick::shared<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, select_args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float* const score = view.score + w.y * view.stride;
    int* const list = view.list + w.y * view.list_stride;
    int const behind = view.spans.begin + view.spans.count * view.spans.length + view.last_length;
    if (w.x == 0 && !view.inside_only) {
      stay(b, score, list, 0, view.spans.begin, 0);
      stay(b, score, list, behind, view.tokens, view.spans.begin + view.spans.count * view.keep + view.last_keep);
    }
    bool const last = w.x == view.spans.count && view.last_length > 0;
    if (w.x >= view.spans.count && !last) return;
    int const begin = view.spans.begin + w.x * view.spans.length;
    int const length = last ? view.last_length : view.spans.length, keep = last ? view.last_keep : view.keep;
    bool const own = view.listed != nullptr;
    forced_set const asked = forced_set{view.tokens, view.sink, view.recent, own ? view.listed : a.white_list,
                                        own ? view.listed_count : a.white_count}
                                 .within(begin, length);
    int* const kept = list + (view.inside_only ? 0 : view.spans.begin) + w.x * view.keep;
    if (keep > 0) row_pick::run(b, score + begin, begin, length, keep, asked.cut(keep), kept, s);
    if (view.marks) row_pick::mark(b, score + begin, 0, length, asked);
  }

 private:
  /// Lists tokens [from, to) and marks them.
  template <block Block>
  KVSIEVE_HD static void stay(Block& b, float* score, int* list, int from, int to, int at) {
    for (index t = index{from} + b.rank(); t < to; t += Block::threads) {
      score[t] = __builtin_inff();
      list[at + t - from] = static_cast<int>(t);
    }
  }
};

/// One view of a selection whose heads keep different numbers of tokens.
struct select_rows_part {
  float* score;         ///< [heads] rows of `stride`; forced tokens are marked +inf
  int* list;            ///< what offsets count from
  index const* offset;  ///< [heads + 1]: where the list of each head begins and ends; null: none of the view
  index stride;
  int tokens, sink, recent;  ///< what stays beside what the selection itself asks for
};
template <class Select>
struct select_rows_args {
  batch<select_rows_part> views;
  typename Select::params select;
};

/// Block (0, head, view): the same for a whole row; how many stay is read from the offsets, and so is what depends on
/// it.
template <class Select>
struct select_rows_body {
  template <block Block>
  using shared = row_pick::shared<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, select_rows_args<Select> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    if (view.offset == nullptr) return;
    index const first = view.offset[w.y];
    int const keep = static_cast<int>(view.offset[w.y + 1] - first), own = Select::recent(a.select, keep);
    int const recent = own > view.recent ? own : view.recent;
    forced_set const asked{view.tokens, view.sink, recent < view.tokens ? recent : view.tokens,
                           a.select.white_list.data(), static_cast<int>(a.select.white_list.size())};
    float* const score = view.score + w.y * view.stride;
    if (keep > 0) row_pick::run(b, score, 0, view.tokens, keep, asked.cut(keep), view.list + first, s);
    row_pick::mark(b, score, 0, view.tokens, asked);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
