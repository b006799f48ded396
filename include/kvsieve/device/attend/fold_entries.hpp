// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of online policies: what the queries of decode attention gave the entries of a cache is folded into
// what is remembered of them.
#pragma once
#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/aggregate/observed_state.hpp>
#include <kvsieve/device/attend/attend_segment.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Nothing is remembered of the entries.
struct no_observation {};

/// One view of a launch that counts the entries of a part.
template <class Part>
struct count_entries_part {
  Part layer;   ///< [heads, tokens, D]
  int* before;  ///< [heads, ends]
  int number, ends;
  int* counter;  ///< of queries, or null
  int asked;     ///< what it goes up by, with the first part
};
template <class Part>
struct count_entries_args {
  batch<count_entries_part<Part>> views;
};
/// Block (0, 0, view): entries of each head in front of the next part.
template <class Part>
struct count_entries_body {
  using args = count_entries_args<Part>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    if (view.number == 0 && view.counter != nullptr && b.rank() == 0) *view.counter += view.asked;
    for (int h = b.rank(); h < view.layer.heads(); h += Block::threads) {
      index const k = readable_tokens(view.layer.keys, h), v = readable_tokens(view.layer.values, h);
      int* const own = view.before + index{h} * view.ends + view.number;
      if (view.number == 0) own[0] = 0;
      own[1] = own[0] + static_cast<int>(k < v ? k : v);
    }
  }
};

/// One view of a launch that folds.
template <accumulator A>
struct fold_part {
  observed_state<A> state;
  float const* logits;   ///< [rows] of `room` floats, times log2(e)
  float const* log_sum;  ///< [rows], times log2(e)
  int const* before;     ///< [heads, ends]: the last one of a head counts its entries
  index room;
  int ends, heads, asked;
  int group;  ///< query heads whose mean is folded, of a state of KV heads; else 1
};
template <accumulator A>
struct fold_args {
  batch<fold_part<A>> views;
  typename A::params params;
};
/// Entries of a block.
inline constexpr int fold_entries_of_block = 512;

/// Block (segment of entries, head of the state, view): folds the new queries in their order. A thread has an entry.
template <accumulator A>
struct fold_entries_body {
  using args = fold_args<A>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    constexpr int states = A::states;
    auto const& view = a.views.part[w.z];
    if (w.y >= view.state.heads) return;
    int const kv_head = w.y / (view.state.heads / view.heads);
    int const entries = view.before[index{kv_head} * view.ends + view.ends - 1], first = w.x * fold_entries_of_block;
    int const last = entries - first < fold_entries_of_block ? entries : first + fold_entries_of_block;
    [[maybe_unused]] float const keep = kept_of_state<A>(a.params);
    // A counter is ahead: the entries were counted before.
    int const before = view.state.counter == nullptr ? view.state.queries : *view.state.counter - view.asked;
    for (int e = first + b.rank(); e < last; e += Block::threads) {
      float part[states];
      KVSIEVE_UNROLL for (int k = 0; k < states; ++k) part[k] = view.state.row(w.y, k)[e];
      float count = view.state.row(w.y, states)[e];
      for (int i = 0; i < view.asked; ++i) {
        int const seen = entries - (view.asked - 1 - i), number = before + i;
        if (e >= seen) continue;
        float p = 0;
        for (int g = 0; g < (folds_groups<A> ? view.group : 1); ++g) {
          index const row = (folds_groups<A> ? index{w.y} * view.group + g : index{w.y}) * view.asked + i;
          p += weight_of(view.logits[row * view.room + e] - view.log_sum[row]);
        }
        if constexpr (folds_groups<A>) p *= 1.0f / static_cast<float>(view.group);
        p *= A::weight(a.params, number, number + 1, seen);
        if constexpr (A::linear)
          part[0] = part[0] * keep + p;
        else if constexpr (A::in_order)
          A::update(a.params, part, p, number);
        else
          A::update(a.params, part, p);
        count += 1.0f;
      }
      KVSIEVE_UNROLL for (int k = 0; k < states; ++k) view.state.row(w.y, k)[e] = part[k];
      view.state.row(w.y, states)[e] = count;
    }
  }
};

template <accumulator A>
struct begin_entries_args {
  observed_state<A> state;
  typename A::params params;
  index first, last;
};
/// Block (segment of entries, row of the state, query head): entries such as no query has seen.
template <accumulator A>
struct begin_entries_body {
  using args = begin_entries_args<A>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    float fresh[A::states] = {};
    if constexpr (!A::linear) A::init(a.params, fresh);
    float number = 0.0f;
    KVSIEVE_UNROLL for (int k = 0; k < A::states; ++k) number = k == w.y ? fresh[k] : number;
    index const first = a.first + index{w.x} * fold_entries_of_block;
    index const last = a.last - first < fold_entries_of_block ? a.last : first + fold_entries_of_block;
    for (index e = first + b.rank(); e < last; e += Block::threads) a.state.row(w.z, w.y)[e] = number;
  }
};

/// One view of a launch that scores.
template <accumulator A>
struct observed_scores_part {
  observed_state<A> state;
  float* score;  ///< [heads] rows of score_stride(entries)
  int heads, entries;
};
template <class Group, accumulator A>
struct observed_scores_args {
  batch<observed_scores_part<A>> views;
  typename A::params params;
  typename Group::params grouping;
};
/// Block (segment of entries, KV head, view): scores from what was remembered, the query heads of a group joined.
template <class Group, accumulator A>
struct observed_scores_body {
  using args = observed_scores_args<Group, A>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const group = view.state.heads / view.heads, first = w.x * fold_entries_of_block;
    int const queries = view.state.counter == nullptr ? view.state.queries : *view.state.counter;
    int const last = view.entries - first < fold_entries_of_block ? view.entries : first + fold_entries_of_block;
    for (int e = first + b.rank(); e < last; e += Block::threads) {
      float joined = 0;
      for (int g = 0; g < group; ++g) {
        int const head = w.y * group + g;
        float part[A::states];
        KVSIEVE_UNROLL for (int k = 0; k < A::states; ++k) part[k] = view.state.row(head, k)[e];
        observation<float> const seen{static_cast<float>(queries), view.state.row(head, A::states)[e]};
        float const one = A::result(a.params, part, seen);
        joined = g == 0 ? one : Group::combine(joined, one);
      }
      view.score[w.y * score_stride(view.entries) + e] = Group::result(joined, group);
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
