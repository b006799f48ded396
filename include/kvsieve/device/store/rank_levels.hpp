// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of one ranking over the entries of all heads, cut several times: radix selection, 8 bits a pass and no
// sort, over the histogram of all entries. Sums are integers, so every cut is exact, whatever the order of blocks.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/device/store/divide.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Cuts of a ranking, at most, and bins of a pass over its keys.
inline constexpr int most_cuts = most_parts - 1, level_bins = 256;

/// What is known of a cut between two passes, and after the last one.
struct level_cut {
  index left;       ///< entries to take among those whose keys begin with the prefix; in the end of the least key
  unsigned prefix;  ///< the bits of the least key that are known; above all scores where no entry is taken
};

/// The key of an entry; a NaN ranks as -inf.
[[nodiscard]] KVSIEVE_HD inline unsigned level_key(float score) {
  return ordered(score == score ? score : -__builtin_inff());
}

/// One view of such a launch.
struct ranked_view {
  kept_lists kept;
  float const* score;  ///< [heads] rows of `stride`
  index stride;        ///< from row to row
  int view;
};
struct rank_levels_args {
  batch<ranked_view> views;
  int heads, cuts;
  int shift;                ///< which 8 bits a pass counts: 24, 16, 8, 0
  index rows;               ///< views * heads
  int const* list;          ///< of all heads
  level_cut* cut;           ///< [cuts]
  unsigned* histogram;      ///< [4, cuts, level_bins]: of each pass
  int* ties;                ///< [cuts, rows]: entries of the least key
  index const* tie_offset;  ///< [cuts, rows + 1]: those in front of a row
  unsigned char* level;     ///< of every entry

  [[nodiscard]] KVSIEVE_HD unsigned* counted(int c) const {
    return histogram + ((24 - shift) / 8 * cuts + c) * level_bins;
  }
  [[nodiscard]] KVSIEVE_HD float const* scores(work w) const {
    return views.part[w.z].score + w.y * views.part[w.z].stride;
  }
  [[nodiscard]] KVSIEVE_HD index row(work w) const { return index{views.part[w.z].view} * heads + w.y; }
};

struct begin_levels_args {
  level_cut* cut;       ///< [cuts]
  unsigned* histogram;  ///< [4, cuts, level_bins]
  int cuts;
  index taken[most_cuts];  ///< entries above each cut
  index all;               ///< entries of all heads
  index const* end;        ///< the same in device memory, where the host does not know it; or null
};
/// Block (0, 0, 0): nothing is counted yet.
struct begin_levels_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, begin_levels_args const& a, work, shared<Block>&) {
    index const all = a.end != nullptr ? *a.end : a.all;
    for (int c = b.rank(); c < a.cuts; c += Block::threads) {
      index const taken = a.taken[c] < all ? a.taken[c] : all;
      a.cut[c] = {taken, taken > 0 ? 0u : ~0u};
    }
    for (int i = b.rank(); i < 4 * a.cuts * level_bins; i += Block::threads) a.histogram[i] = 0;
  }
};

/// Block (0, head, view): adds 8 bits of the keys of a head to the histogram of every cut; in the first pass all cuts
/// share one.
struct count_levels_body {
  template <block Block>
  struct shared {
    unsigned histogram[most_cuts * level_bins];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, rank_levels_args const& a, work w, shared<Block>& s) {
    auto const& kept = a.views.part[w.z].kept;
    int const* const list = kept.of(w.y);
    float const* const score = a.scores(w);
    bool const begins = a.shift == 24;
    int const count = kept.count(w.y), cuts = begins ? 1 : a.cuts;
    unsigned const known = begins ? 0u : ~0u << (a.shift + 8);
    for (int i = b.rank(); i < cuts * level_bins; i += Block::threads) s.histogram[i] = 0;
    b.sync();
    for (int i = b.rank(); i < count; i += Block::threads) {
      unsigned const key = level_key(score[list[i]]);
      for (int c = 0; c < cuts; ++c)
        if ((key & known) == (a.cut[c].prefix & known))
          b.atomic_add(s.histogram[c * level_bins + static_cast<int>(key >> a.shift & 255u)], 1u);
    }
    b.sync();
    for (int i = b.rank(); i < cuts * level_bins; i += Block::threads)
      if (s.histogram[i] != 0) b.atomic_add(a.counted(0)[i], s.histogram[i]);
  }
};

/// Block (cut, 0, 0): finds the 8 bits of its least key.
struct find_level_body {
  template <block Block>
  struct shared {
    typename Block::scan_storage scan;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, rank_levels_args const& a, work w, shared<Block>& s) {
    level_cut const cut = a.cut[w.x];
    if (cut.left <= 0) return;
    constexpr int per = level_bins / Block::threads > 0 ? level_bins / Block::threads : 1;
    static_assert(level_bins % Block::threads == 0 || Block::threads % level_bins == 0);
    unsigned const* const counted = a.counted(a.shift == 24 ? 0 : w.x);
    int const first = b.rank() * per;
    unsigned own = 0, total = 0;
    for (int j = first; j < first + per && j < level_bins; ++j) own += counted[level_bins - 1 - j];
    unsigned above = b.exclusive_sum(own, total, s.scan);
    for (int j = first; j < first + per && j < level_bins; ++j) {
      int const bin = level_bins - 1 - j;
      if (index{above} < cut.left && cut.left <= index{above} + counted[bin])
        a.cut[w.x] = {cut.left - above, cut.prefix | static_cast<unsigned>(bin) << a.shift};
      above += counted[bin];
    }
  }
};

/// Block (0, head, view): its entries of the least key of every cut.
struct count_ties_body {
  template <block Block>
  struct shared {
    unsigned count[most_cuts];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, rank_levels_args const& a, work w, shared<Block>& s) {
    auto const& kept = a.views.part[w.z].kept;
    int const* const list = kept.of(w.y);
    float const* const score = a.scores(w);
    for (int c = b.rank(); c < a.cuts; c += Block::threads) s.count[c] = 0;
    b.sync();
    for (int i = b.rank(); i < kept.count(w.y); i += Block::threads) {
      unsigned const key = level_key(score[list[i]]);
      for (int c = 0; c < a.cuts; ++c)
        if (key == a.cut[c].prefix) b.atomic_add(s.count[c], 1u);
    }
    b.sync();
    for (int c = b.rank(); c < a.cuts; c += Block::threads)
      a.ties[c * a.rows + a.row(w)] = static_cast<int>(s.count[c]);
  }
};

/// Block (0, head, view): the level of each of its entries, those of the least key in the order of the rows.
struct mark_levels_body {
  template <block Block>
  struct shared {
    typename Block::scan_storage scan;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, rank_levels_args const& a, work w, shared<Block>& s) {
    auto const& kept = a.views.part[w.z].kept;
    int const* const list = kept.of(w.y);
    unsigned char* const level = a.level + (list - a.list);
    float const* const score = a.scores(w);
    run_of_thread const own(kept.count(w.y), b.rank(), Block::threads);
    for (int i = own.first; i < own.last; ++i) level[i] = static_cast<unsigned char>(a.cuts);
    for (int c = a.cuts - 1; c >= 0; --c) {
      level_cut const cut = a.cut[c];
      unsigned count = 0, total = 0;
      for (int i = own.first; i < own.last; ++i) count += level_key(score[list[i]]) == cut.prefix ? 1u : 0u;
      unsigned const before = b.exclusive_sum(count, total, s.scan);
      index place = a.tie_offset[c * (a.rows + 1) + a.row(w)] + before;
      for (int i = own.first; i < own.last; ++i) {
        unsigned const key = level_key(score[list[i]]);
        if (key > cut.prefix || (key == cut.prefix && place++ < cut.left)) level[i] = static_cast<unsigned char>(c);
      }
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
