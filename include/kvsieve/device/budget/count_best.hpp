// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of a ranking over several rows of scores: how the best of all of them fall on the rows. Radix selection
// as in select.hpp, 8 bits a pass and no sort, over the histograms of all rows; sums are integers, so they are exact.
#pragma once
#include <kvsieve/core/counts.hpp>
#include <kvsieve/core/forced.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>
#include <kvsieve/device/call/view_layout.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Bins of a pass over the keys of scores.
inline constexpr int key_bins = 256;

/// What is known of a row while it is counted.
struct counted_row {
  int tokens;  ///< of the row
  int forced;  ///< of these, which do not compete
  int above;   ///< competing tokens above the keys that are still in question
};
/// What is known of a ranking between two passes.
struct ranking_state {
  index left;       ///< tokens to keep beside the forced ones; negative where these are more than the total
  unsigned prefix;  ///< the bits of the cut's key that are known
};

/// One view of a pass.
struct count_keys_part {
  float const* score;          ///< [heads] rows of `stride`
  index stride;                ///< from row to row
  counted_row* row;            ///< [heads]
  unsigned* at_least;          ///< [heads, bins]: competing tokens of the prefix, from this bin up
  ranking_state const* state;  ///< of the view's ranking
  int tokens, sink, recent;
  int const* places;  ///< where not null: the scores behind so many do not compete
};
struct count_keys_args {
  batch<count_keys_part> views;
  int const* white_list;
  int white_count;
  int shift;  ///< which 8 bits this pass counts: 24, 16, 8, 0
};

/// Block (0, head, view): counts the keys of a row, forced tokens left out.
struct count_keys_body {
  static constexpr int per_thread = 8;

  template <block Block>
  struct shared {
    unsigned histogram[key_bins];
    typename Block::scan_storage scan;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, count_keys_args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float const* const score = view.score + w.y * view.stride;
    forced_set forced{view.tokens, view.sink, view.recent, a.white_list, a.white_count};
    if (view.places != nullptr) forced = {view.tokens, 0, view.tokens - *view.places};
    bool const begins = a.shift == 24;
    unsigned const known = begins ? 0u : ~0u << (a.shift + 8), prefix = begins ? 0u : view.state->prefix;
    for (int i = b.rank(); i < key_bins; i += Block::threads) s.histogram[i] = 0;
    b.sync();
    for (index first = b.rank(); first < view.tokens; first += index{Block::threads} * per_thread) {
      float x[per_thread];  // read before the first is counted: a row has one block, so few reads are under way
      KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) {
        index const t = first + j * Block::threads;
        x[j] = t < view.tokens ? score[t] : 0.0f;
      }
      KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) {
        index const t = first + j * Block::threads;
        if (t >= view.tokens || forced.holds(static_cast<int>(t))) continue;
        unsigned const key = ordered(x[j]);
        if ((key & known) == prefix) b.atomic_add(s.histogram[key >> a.shift & 255u], 1u);
      }
    }
    b.sync();

    // Sums from the highest bin down.
    constexpr int per = key_bins / Block::threads > 0 ? key_bins / Block::threads : 1;
    static_assert(key_bins % Block::threads == 0 || Block::threads % key_bins == 0);
    int const first = b.rank() * per;
    unsigned own = 0, total = 0;
    for (int j = first; j < first + per && j < key_bins; ++j) own += s.histogram[key_bins - 1 - j];
    unsigned sum = b.exclusive_sum(own, total, s.scan);
    unsigned* const at_least = view.at_least + index{w.y} * key_bins;
    for (int j = first; j < first + per && j < key_bins; ++j) {
      sum += s.histogram[key_bins - 1 - j];
      at_least[key_bins - 1 - j] = sum;
    }
    // Counted, not computed: a white list that does not ascend costs its meaning and nothing else.
    if (begins && b.rank() == 0) view.row[w.y] = {view.tokens, view.tokens - static_cast<int>(total), 0};
  }
};

/// One ranking of a pass.
struct find_cut_part {
  counted_row* row;          ///< [rows]
  unsigned const* at_least;  ///< [rows, bins]
  ranking_state* state;      ///< of this ranking
  int* count;                ///< [rows]: what they keep, after the last pass
  index* scratch;            ///< [rows]
  index total;               ///< tokens that the rows keep together
  index rows;                ///< of all its views
  int least;                 ///< tokens that each row keeps
  bool drop_ties;            ///< none of those that equal the last one
  index* partial;  ///< [parts, key_bins + 1]: what parts of the rows keep, were all keys from a bin up to stay
  int parts;       ///< 0: one block looks at all rows

  /// Competing tokens of row i, of the prefix, from this bin up.
  [[nodiscard]] KVSIEVE_HD unsigned from(index i, int bin) const {
    return bin < key_bins ? at_least[i * key_bins + bin] : 0u;
  }
  /// Tokens beside the forced ones that row i keeps, were all keys from this bin up to stay.
  [[nodiscard]] KVSIEVE_HD int kept(index i, int bin) const {
    int const best = row[i].above + static_cast<int>(from(i, bin)), held = least - row[i].forced;
    return best < held ? held : best;
  }
};
struct find_cut_args {
  batch<find_cut_part> views;
  int shift;
};

/// Rows of a ranking that a block adds up where several share it, and from how many rows on they do.
inline constexpr int rows_of_part = 32, rows_to_share = 64;

/// Block (part, 0, ranking): what its rows keep, were all keys from a bin up to stay.
struct add_rows_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, find_cut_args const& a, work w, shared<Block>&) {
    auto const& r = a.views.part[w.z];
    if (w.x >= r.parts) return;
    index const first = index{w.x} * rows_of_part, last = r.rows - first < rows_of_part ? r.rows : first + rows_of_part;
    for (int bin = b.rank(); bin <= key_bins; bin += Block::threads) {
      index sum = 0;
      for (index i = first; i < last; ++i) sum += r.kept(i, bin);
      r.partial[index{w.x} * (key_bins + 1) + bin] = sum;
    }
  }
};

/// Block (0, 0, ranking): finds the 8 bits of the cut, and after the last pass what each row keeps. A row that would
/// keep less than `least` counts as that, so the sum over the rows still only rises as the cut falls, and the cut is
/// where it reaches the total: what the host finds by holding such rows and ranking the others again.
struct find_cut_body {
  template <block Block>
  struct shared {
    index kept[key_bins + 1];  ///< tokens beside the forced ones, were all keys from this bin up to stay
    index part[Block::threads];
    int least[Block::threads], most[Block::threads];  ///< tokens of a row without and with those at the cut
    int bin;
    index left, competing, need;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, find_cut_args const& a, work w, shared<Block>& s) {
    auto const& r = a.views.part[w.z];
    if (a.shift == 24) {
      index const forced = sum_of(b, s, r, [](counted_row const& row) { return row.forced; });
      if (b.rank() == 0) s.left = r.total - forced;
    } else if (b.rank() == 0) {
      s.left = r.state->left;
    }
    if (b.rank() == 0) s.bin = 0;
    b.sync();
    index const left = s.left;
    for (int bin = b.rank(); bin <= key_bins; bin += Block::threads) {
      index sum = 0;
      for (int p = 0; p < r.parts; ++p) sum += r.partial[index{p} * (key_bins + 1) + bin];
      for (index i = 0; r.parts == 0 && i < r.rows; ++i) sum += r.kept(i, bin);
      s.kept[bin] = sum;
    }
    b.sync();
    for (int bin = b.rank(); bin < key_bins; bin += Block::threads)
      if (s.kept[bin] >= left && (bin == key_bins - 1 || s.kept[bin + 1] < left)) s.bin = bin;
    b.sync();
    int const bin = s.bin;
    if (a.shift > 0) {
      for (index i = b.rank(); i < r.rows; i += Block::threads) r.row[i].above += static_cast<int>(r.from(i, bin + 1));
      if (b.rank() == 0)
        *r.state = {left, (a.shift == 24 ? 0u : r.state->prefix) | static_cast<unsigned>(bin) << a.shift};
    } else {
      if (b.rank() == 0) s.need = left - s.kept[bin + 1];
      spend(b, s, r, left, bin);
    }
  }

 private:
  template <block Block, class F>
  KVSIEVE_HD static index sum_of(Block& b, shared<Block>& s, find_cut_part const& r, F const& f) {
    index sum = 0;
    for (index i = b.rank(); i < r.rows; i += Block::threads) sum += f(r.row[i]);
    s.part[b.rank()] = sum;
    b.sync();
    sum = 0;
    for (int t = 0; t < Block::threads; ++t) sum += s.part[t];
    return sum;
  }

  /// The counts: those above the cut, and those at it, the lower rows first.
  template <block Block>
  KVSIEVE_HD static void spend(Block& b, shared<Block>& s, find_cut_part const& r, index left, int bin) {
    if (left < 0) {
      if (b.rank() != 0) return;
      counts::share_equally(r.rows, r.total, [&](index i) { return index{r.row[i].tokens}; }, r.scratch);
      for (index i = 0; i < r.rows; ++i) r.count[i] = static_cast<int>(r.scratch[i]);
      return;
    }
    index const competing = sum_of(b, s, r, [](counted_row const& row) { return row.tokens - row.forced; });
    bool const drops = r.drop_ties && left < competing;
    for (index first = 0; first < r.rows; first += Block::threads) {
      index const i = first + b.rank();
      bool const own = i < r.rows;
      s.least[b.rank()] = own ? r.kept(i, bin + 1) : 0;
      s.most[b.rank()] = own && !drops ? r.kept(i, bin) : s.least[b.rank()];
      b.sync();
      if (b.rank() == 0) {
        for (int t = 0; t < Block::threads; ++t) {
          index const ties = s.most[t] - s.least[t], more = ties < s.need ? ties : s.need < 0 ? 0 : s.need;
          s.least[t] += static_cast<int>(more);
          s.need -= more;
        }
      }
      b.sync();
      if (own) r.count[i] = r.row[i].forced + s.least[b.rank()];
    }
  }
};

/// One view of which each head has a part of what the ranking gave it.
struct share_ranking_part {
  counted_row const* row;  ///< [heads]
  int* count;              ///< [heads]
  index* scratch;          ///< [heads]
  int tokens, heads;
};
template <class Budget>
struct share_ranking_args {
  batch<share_ranking_part> views;
  typename Budget::params budget;
};

/// Block (0, 0, view): one thread, a few numbers.
template <shared_ranking Budget>
struct share_ranking_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, share_ranking_args<Budget> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    if (b.rank() == 0) Budget::share(a.budget, view.heads, view.tokens, view.row[0].forced, view.count, view.scratch);
  }
};

/// One sequence of which the layers have a part of what a ranking over them gave.
struct split_ranking_part {
  view_layout const* layout;  ///< [views]
  int* count;                 ///< [views, heads]
  index* scratch;             ///< [views]
  int views;                  ///< of the sequence
};
template <class Budget>
struct split_ranking_args {
  batch<split_ranking_part> views;
  typename Budget::params budget;
  int const* white_list;
  int white_count;
  int call_views, heads;
};

/// Block (0, 0, sequence): one thread, a few numbers for each layer.
template <splits_ranking Budget>
struct split_ranking_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, split_ranking_args<Budget> const& a, work w, shared<Block>&) {
    auto const& part = a.views.part[w.z];
    if (b.rank() != 0) return;
    Budget::split(
        a.budget, a.call_views, part.views, a.heads, [&](int i) { return part.layout[i].tokens; },
        [&](int i) { return part.layout[i].forced(a.white_list, a.white_count); }, part.count, part.scratch);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
