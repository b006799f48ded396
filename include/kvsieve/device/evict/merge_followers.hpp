// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of evict::cam: the candidates of each head, and what they spread over the kept rows behind them.
#pragma once
#include <kvsieve/device/evict/merge_nearest.hpp>
#include <kvsieve/evict/cam.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// The attention that the tokens of a head had: a table of the caller, or the scores of the plan as masses.
struct attention_of_head {
  float const* row;
  float largest;  ///< of scores; below 0: of a table

  [[nodiscard]] KVSIEVE_HD float operator[](int token) const {
    return largest < 0 ? row[token] : mass(row[token], largest);
  }
};
/// One view of such a launch.
template <class Layer, class Target>
struct cam_part {
  merge_target_part<Layer, Target> rows;
  float const* attention;  ///< [heads, tokens], or null

  template <block Block>
  [[nodiscard]] KVSIEVE_HD attention_of_head attention_of(Block& b, int head,
                                                          typename Block::reduce_storage& reduce) const {
    if (attention != nullptr) return {attention + rows.from.at(head), -1.0f};
    float const* const scores = rows.from.scores(head);
    return {scores, largest_mass_of(b, scores, rows.from.tokens, reduce)};
  }
};

/// Block (0, head, view): candidates, ascending, in `source`; the first kept token behind each in `target`; what its
/// value is multiplied with in `similarity`. How many they are is end[0].
template <class Evict, class Layer, class Target>
struct pick_candidates_body {
  using args = merge_args<cam_part<Layer, Target>, typename Evict::params>;

  template <block Block>
  struct shared {
    unsigned bin[256];
    unsigned prefix, wanted, carry, equal;
    typename Block::scan_storage scan;
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& part = a.views.part[w.z];
    auto const& view = part.rows.from;
    index const at = view.at(w.y);
    int const evicted = view.evicted(w.y), count = a.params.candidates < evicted ? a.params.candidates : evicted;
    int const* const list = view.memory.evicted + at;
    float const* const scores = view.scores(w.y);
    int* const chosen = view.memory.source + at;
    if (b.rank() == 0) view.memory.end[at + w.y] = static_cast<unsigned>(count);
    attention_of_head const attention = part.attention_of(b, w.y, s.reduce);
    if (count == 0) return;
    // The count-th highest score, eight bits at a time from the highest; of equal ones the last are taken.
    if (b.rank() == 0) {
      s.prefix = 0;
      s.wanted = static_cast<unsigned>(count - 1);
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
      for (int i = b.rank(); i < 256; i += Block::threads) s.bin[i] = 0;
      b.sync();
      unsigned const known = shift == 24 ? 0u : ~0u << (shift + 8);
      for (int e = b.rank(); e < evicted; e += Block::threads)
        if (unsigned const key = ordered(scores[list[e]]); (key & known) == s.prefix)
          b.atomic_add(s.bin[key >> shift & 255u], 1u);
      b.sync();
      if (b.rank() == 0) {
        unsigned bin = 255;
        while (s.wanted >= s.bin[bin]) s.wanted -= s.bin[bin--];
        s.prefix |= bin << shift;
        s.equal = s.bin[bin];
      }
      b.sync();
    }
    unsigned const cut = s.prefix;
    int const skipped = static_cast<int>(s.equal - s.wanted - 1);  // of those that score as the last one
    b.sync();
    if (b.rank() == 0) s.carry = s.equal = 0;
    b.sync();
    for (int first = 0; first < evicted; first += Block::threads) {
      int const e = first + b.rank();
      unsigned const key = e < evicted ? ordered(scores[list[e]]) : 0u, carry = s.carry, seen = s.equal;
      unsigned total, same;
      unsigned const number = seen + b.exclusive_sum(e < evicted && key == cut ? 1u : 0u, same, s.scan);
      bool const in = e < evicted && (key > cut || (key == cut && static_cast<int>(number) >= skipped));
      unsigned const place = carry + b.exclusive_sum(in ? 1u : 0u, total, s.scan);
      if (in) chosen[place] = list[e];
      if (b.rank() == 0) {
        s.carry = carry + total;
        s.equal = seen + same;
      }
      b.sync();
    }
    int const* const kept = view.kept.of(w.y);
    int const keep = view.kept.count(w.y);
    for (int i = b.rank(); i < count; i += Block::threads) {
      int const token = chosen[i], next = count_below(kept, keep, token), left = keep - next;
      int const n = left < a.params.followers ? left : a.params.followers;
      double sum = 0;
      for (int j = 0; j < n; ++j) sum += static_cast<double>(attention[kept[next + j]]);
      float const mean = static_cast<float>(sum / static_cast<double>(n));
      float const probability = n == 0 ? 0.0f : evict::detail::ratio_of(attention[token], mean);
      float const share =
          evict::detail::share_spread(probability, a.params.drawn, a.params.seed, view.row + w.y, token);
      view.memory.target[at + i] = next;
      view.memory.similarity[at + i] =
          share > 0 && finite(view.memory.value_square[at + token]) ? share / static_cast<float>(n) : 0.0f;
    }
  }
};

/// Block (segment of kept rows, head, view): rows of the result. A thread has a channel of a row.
template <class Evict, class Layer, class Target>
struct write_spread_body {
  static constexpr int D = Layer::head_dim;
  using args = merge_args<cam_part<Layer, Target>, typename Evict::params>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& part = a.views.part[w.z].rows;
    auto const& view = part.from;
    index const at = view.at(w.y);
    int const count = view.kept.count(w.y), first = w.x * merged_rows_of_block;
    int const rows = count - first < merged_rows_of_block ? count - first : merged_rows_of_block;
    int const* const kept = view.kept.of(w.y);
    int const* const behind = view.memory.target + at;
    int const candidates = static_cast<int>(view.memory.end[at + w.y]);
    for (int i = b.rank(); i < rows * D; i += Block::threads) {
      int const k = first + i / D, d = i % D;
      put_element(part.keys, w.y, k, d, view.keys(w.y, kept[k], d));
      // Candidates that spread over row k: those with the first kept token behind them in (k - followers, k].
      int const begin = count_below(behind, candidates, k - a.params.followers + 1);
      int const end = count_below(behind, candidates, k + 1);
      bool any = false;
      float value = 0.0f;
      for (int c = begin; c < end; ++c) {
        float const factor = view.memory.similarity[at + c];
        if (!(factor > 0)) continue;
        if (!any) value = 1.0f * to_float(view.values(w.y, kept[k], d)) + 0.0f;
        any = true;
        value = factor * to_float(view.values(w.y, view.memory.source[at + c], d)) + value;
      }
      put_element(part.values, w.y, k, d,
                  any ? from_float<element_of<typename Target::values_type>>(value) : view.values(w.y, kept[k], d));
      if (part.bias && d == 0) part.bias.row(w.y)[k] = 0;
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
