// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Selection of long rows by several blocks each. A sample of the row brackets the cut, blocks gather what lies inside
// of the bracket, one finds the cut among it, and blocks write the lists: a row is read twice and a sample of it once.
// Where the sample is wrong, or too many tokens are tied, the block that finds the cut reads the row itself.
#pragma once
#include <kvsieve/device/select/select.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// How a long row is segmented.
struct segmented_shape {
  static constexpr int segment = 8192;                 ///< tokens of a block
  static constexpr index longest_whole = 2 * segment;  ///< a row of more is split
  static constexpr int sample = 2048;                  ///< tokens of a row that are looked at before
  /// Places in the sample between a key and the bracket's ends: four standard deviations of where the row's key of a
  /// rank comes in it, at most sqrt(sample) / 2 each.
  static constexpr int margin = 91;

  int tokens = 0;        ///< of the row
  int length = segment;  ///< tokens of a block

  /// Blocks of a row.
  [[nodiscard]] KVSIEVE_HD constexpr int segments() const { return pieces(tokens, length); }
  /// The first token of a block; behind the last one the end of the row.
  [[nodiscard]] KVSIEVE_HD constexpr index begin(int block) const {
    index const first = index{block} * length;
    return first < tokens ? first : tokens;
  }
  /// Tokens inside of a bracket that there is room for; the bracket's share is 2 * margin / sample of the row.
  [[nodiscard]] KVSIEVE_HD constexpr int room() const { return tokens / 8; }
  /// Words of scratch that a row takes.
  [[nodiscard]] KVSIEVE_HD constexpr index words() const {
    return round_up<index>(8 + 2 * index{segments()} + 2 * index{room()}, 16);
  }
};

/// The scratch of a row.
struct segmented_scratch {
  unsigned* word;
  segmented_shape shape;

  [[nodiscard]] KVSIEVE_HD unsigned& least() const { return word[0]; }  ///< the bracket's ends
  [[nodiscard]] KVSIEVE_HD unsigned& most() const { return word[1]; }
  [[nodiscard]] KVSIEVE_HD unsigned& found() const { return word[2]; }  ///< keys inside of it
  [[nodiscard]] KVSIEVE_HD unsigned& limit() const { return word[3]; }  ///< of the cut
  [[nodiscard]] KVSIEVE_HD unsigned& ties() const { return word[4]; }
  /// [segments]: keys of each above the bracket, then those above the cut in all segments before.
  [[nodiscard]] KVSIEVE_HD unsigned* above() const { return word + 8; }
  /// [segments]: keys of each that the bracket is, where it is one key, then those that equal the cut before.
  [[nodiscard]] KVSIEVE_HD unsigned* equal() const { return above() + shape.segments(); }
  [[nodiscard]] KVSIEVE_HD unsigned* keys() const { return equal() + shape.segments(); }  ///< [room], in no order
  [[nodiscard]] KVSIEVE_HD unsigned* tokens() const { return keys() + shape.room(); }     ///< [room], whose they are
};

/// One view of such a selection; none of it where it has no tokens.
struct segmented_part {
  float* score;         ///< [heads] rows of `stride`; forced tokens are marked +inf
  int* list;            ///< [heads] lists of `list_stride`, or what offsets count from
  index const* offset;  ///< [heads + 1] in device memory; null: every head keeps `keep`
  unsigned* scratch;    ///< [heads, words]
  index stride, list_stride;
  int keep, sink, recent;
  segmented_shape shape;
};
template <class Select>
struct segmented_args {
  batch<segmented_part> views;
  typename Select::params select;
};

/// A row of such a selection, as each of its kernels sees it.
template <class Select>
struct segmented_row {
  float* score;
  int* list;
  int keep;
  forced_set asked;
  segmented_scratch scratch;

  KVSIEVE_HD segmented_row(segmented_args<Select> const& a, work const& w) {
    auto const& view = a.views.part[w.z];
    int const tokens = view.shape.tokens;
    score = view.score + w.y * view.stride;
    scratch = {view.scratch + w.y * view.shape.words(), view.shape};
    int recent = view.recent;
    if (view.offset != nullptr) {
      index const first = view.offset[w.y];
      keep = static_cast<int>(view.offset[w.y + 1] - first);
      list = view.list + first;
      int const own = Select::recent(a.select, keep);
      recent = own > recent ? own : recent;
    } else {
      keep = view.keep;
      list = view.list + w.y * view.list_stride;
    }
    asked = forced_set{tokens, view.sink, recent < tokens ? recent : tokens, a.select.white_list.data(),
                       static_cast<int>(a.select.white_list.size())};
  }
  /// The keys of its tokens.
  [[nodiscard]] KVSIEVE_HD row_keys keys() const { return {score, asked.cut(keep)}; }
};

/// Keys that lie in memory.
struct stored_keys {
  unsigned const* at;
  [[nodiscard]] KVSIEVE_HD unsigned read(index i) const { return at[i]; }
  [[nodiscard]] KVSIEVE_HD static unsigned key(unsigned read, index) { return read; }
};

/// Block (0, head, view): the bracket of a row's cut, from a sample at even distances.
template <class Select>
struct bracket_row_body {
  using args = segmented_args<Select>;
  static constexpr bool one_block = true;  ///< of a row
  template <block Block>
  struct shared {
    row_pick::shared<Block> pick;
    unsigned sample[segmented_shape::sample];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    constexpr int sample = segmented_shape::sample, margin = segmented_shape::margin;
    segmented_row<Select> const row(a, w);
    int const tokens = row.scratch.shape.tokens;
    if (w.x > 0 || tokens == 0 || row.keep <= 0) return;
    row_keys const keys = row.keys();
    for (int i = b.rank(); i < sample; i += Block::threads) {
      index const t = index{i} * tokens / sample;
      s.sample[i] = keys.key(keys.read(t), t);
    }
    b.sync();
    int const at = static_cast<int>(index{row.keep} * sample / tokens), upper = at - margin, lower = at + margin;
    unsigned const most = upper < 1 ? forced_key : in_sample(b, upper, s);
    unsigned const least = lower > sample ? 0u : in_sample(b, lower, s);
    if (b.rank() != 0) return;
    row.scratch.most() = most;
    row.scratch.least() = least;
    row.scratch.found() = 0;
  }

 private:
  template <block Block>
  KVSIEVE_HD static unsigned in_sample(Block& b, int rank, shared<Block>& s) {
    return row_pick::find(b, stored_keys{s.sample}, segmented_shape::sample, static_cast<unsigned>(rank), s.pick).limit;
  }
};

/// Block (segment, head, view): counts the keys above the bracket and gathers those inside. A bracket of one key is
/// only counted.
template <class Select>
struct gather_keys_body {
  using args = segmented_args<Select>;
  static constexpr bool one_block = false;  ///< of a row
  template <block Block>
  struct shared {
    typename Block::scan_storage scan;
    unsigned first;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    constexpr int per_thread = row_pick::per_thread, chunk = Block::threads * per_thread;
    segmented_row<Select> const row(a, w);
    segmented_scratch const& scratch = row.scratch;
    segmented_shape const shape = scratch.shape;
    if (w.x >= shape.segments() || row.keep <= 0) return;
    row_keys const keys = row.keys();
    unsigned const least = scratch.least(), most = scratch.most(), room = static_cast<unsigned>(shape.room());
    index const from = shape.begin(w.x), to = shape.begin(w.x + 1);
    unsigned own_above = 0, own_equal = 0, total = 0;
    for (index base = from; base < to; base += chunk) {
      float x[per_thread];
      unsigned key[per_thread], inside = 0;
      index const first = base + b.rank();
      KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) {
        index const t = first + j * Block::threads;
        x[j] = t < to ? keys.read(t) : 0;
      }
      KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) {
        index const t = first + j * Block::threads;
        key[j] = t < to ? keys.key(x[j], t) : 0;
        own_above += t < to && key[j] > most ? 1u : 0u;
        own_equal += t < to && key[j] == most ? 1u : 0u;
        inside += t < to && key[j] >= least && key[j] <= most ? 1u : 0u;
      }
      if (least == most) continue;
      unsigned const before = b.exclusive_sum(inside, total, s.scan);
      if (b.rank() == 0) s.first = total > 0 ? b.atomic_add(scratch.found(), total) : 0;
      b.sync();
      unsigned at = s.first + before;
      KVSIEVE_UNROLL for (int j = 0; j < per_thread; ++j) {
        index const t = first + j * Block::threads;
        if (t >= to || key[j] < least || key[j] > most || at >= room) continue;
        scratch.keys()[at] = key[j];
        scratch.tokens()[at] = static_cast<unsigned>(t);
        ++at;
      }
      b.sync();
    }
    b.exclusive_sum(own_above, total, s.scan);
    if (b.rank() == 0) scratch.above()[w.x] = total;
    b.exclusive_sum(own_equal, total, s.scan);
    if (b.rank() == 0) scratch.equal()[w.x] = total;
  }
};

/// Block (0, head, view): the cut, and where the list of each segment begins.
template <class Select>
struct cut_row_body {
  using args = segmented_args<Select>;
  static constexpr bool one_block = true;  ///< of a row
  template <block Block>
  using shared = row_pick::shared<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    segmented_row<Select> const row(a, w);
    segmented_scratch const& scratch = row.scratch;
    segmented_shape const shape = scratch.shape;
    if (w.x > 0 || shape.tokens == 0 || row.keep <= 0) return;
    int const segments = shape.segments();
    unsigned const keep = static_cast<unsigned>(row.keep), found = scratch.found();
    unsigned const above = sum_of(b, scratch.above(), segments, s), equal = sum_of(b, scratch.equal(), segments, s);
    bool const single = scratch.least() == scratch.most(), fits = found <= static_cast<unsigned>(shape.room());
    row_cut cut;
    if (above < keep && single && keep - above <= equal) {
      cut = {scratch.most(), keep - above};
    } else if (above < keep && !single && fits && keep - above <= found) {
      cut = row_pick::find(b, stored_keys{scratch.keys()}, static_cast<index>(found), keep - above, s);
      for (int i = b.rank(); i < segments; i += Block::threads) scratch.equal()[i] = 0;
      b.sync();
      for (unsigned i = static_cast<unsigned>(b.rank()); i < found; i += static_cast<unsigned>(Block::threads))
        count(b, scratch, scratch.keys()[i], static_cast<index>(scratch.tokens()[i]), cut.limit);
    } else {
      row_keys const keys = row.keys();
      cut = row_pick::find(b, keys, shape.tokens, keep, s);
      for (int i = b.rank(); i < segments; i += Block::threads) scratch.above()[i] = scratch.equal()[i] = 0;
      b.sync();
      for (index t = b.rank(); t < shape.tokens; t += Block::threads)
        count(b, scratch, keys.key(keys.read(t), t), t, cut.limit);
    }
    b.sync();
    run_up(b, scratch.above(), segments, s);
    run_up(b, scratch.equal(), segments, s);
    if (b.rank() != 0) return;
    scratch.limit() = cut.limit;
    scratch.ties() = cut.ties;
  }

 private:
  template <block Block>
  KVSIEVE_HD static void count(Block& b, segmented_scratch const& scratch, unsigned key, index token, unsigned limit) {
    if (key < limit) return;
    b.atomic_add((key > limit ? scratch.above() : scratch.equal())[token / scratch.shape.length], 1u);
  }
  template <block Block>
  KVSIEVE_HD static unsigned sum_of(Block& b, unsigned const* x, int count, shared<Block>& s) {
    unsigned own = 0, total = 0;
    for (int i = b.rank(); i < count; i += Block::threads) own += x[i];
    b.exclusive_sum(own, total, s.scan);
    return total;
  }
  /// Each becomes the sum of those before it.
  template <block Block>
  KVSIEVE_HD static void run_up(Block& b, unsigned* x, int count, shared<Block>& s) {
    unsigned before = 0, total = 0;
    for (int base = 0; base < count; base += Block::threads) {
      int const i = base + b.rank();
      unsigned const sum = b.exclusive_sum(i < count ? x[i] : 0u, total, s.scan);
      if (i < count) x[i] = before + sum;
      before += total;
    }
  }
};

/// Block (segment, head, view): the indices of its tokens that stay, ascending, and the marks of forced ones.
template <class Select>
struct write_kept_body {
  using args = segmented_args<Select>;
  static constexpr bool one_block = false;  ///< of a row
  template <block Block>
  using shared = row_pick::shared<Block>;

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    segmented_row<Select> const row(a, w);
    segmented_scratch const& scratch = row.scratch;
    segmented_shape const shape = scratch.shape;
    if (w.x >= shape.segments()) return;
    index const from = shape.begin(w.x), to = shape.begin(w.x + 1);
    if (row.keep > 0)
      row_pick::write(b, row.keys(), 0, from, to, {scratch.limit(), scratch.ties()}, scratch.above()[w.x],
                      scratch.equal()[w.x], row.list, s);
    row_pick::mark(b, row.score, from, to, row.asked);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
