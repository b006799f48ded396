// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What the launches of the per-query scorers are told of a view: its rows of queries, and which keys each of them sees.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/aggregate/group.hpp>
#include <kvsieve/core/query_set.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Sets of queries that a view of a launch has room for.
inline constexpr int most_query_sets = 4;

/// One view of a per-query launch. Row r of a KV head is query r % observed of query head r / observed of its group;
/// its set says which keys it sees.
template <row_view Queries, row_view Keys>
struct queries_part {
  Keys keys;        ///< [heads, tokens, D]: the cache, and behind it the queries' own keys
  Queries queries;  ///< [heads * group, at least `observed`, D]; the last ones are observed
  float* score;     ///< [heads] rows of `stride`
  float* partial;   ///< [heads, segments, rows, 2]: largest logit, and the sum of 2^(logit - largest); 4 with a pool
  float* mass;      ///< [heads, rows]: log2 of the sum of 2^logit; NaN: the query is passed over
  index stride;
  int observed, group, segments, segment_tokens;
  int before;       ///< observed queries that earlier calls brought; sets count from the first of all
  int cached;       ///< tokens that are scored
  int set_count;    ///< of `set`
  int past;         ///< of these, the ones before the scorer's own tail, which pools along the tokens meet
  int kernel;       ///< tokens of such a pool; 1: none
  bool restricted;  ///< some query does not see all keys up to its last
  query_set set[most_query_sets];

  [[nodiscard]] KVSIEVE_HD int tokens() const { return static_cast<int>(keys.extent(1)); }
  [[nodiscard]] KVSIEVE_HD int rows() const { return observed * group; }
  /// Pools that token t lies in.
  [[nodiscard]] KVSIEVE_HD int pools_of(int t) const {
    int const reach = kernel / 2, from = t < reach ? 0 : t - reach, to = past - 1 - t < reach ? past - 1 : t + reach;
    return t < past ? to - from + 1 : 0;
  }
  /// Which set a row's query is of, and its place in it.
  struct place {
    int set, query;
  };
  [[nodiscard]] KVSIEVE_HD place place_of(int row) const {
    int query = row % observed + before, s = 0;
    for (; s + 1 < set_count && query >= set[s].count; ++s) query -= set[s].count;
    return {s, query};
  }
  /// Keys that a row's query sees.
  [[nodiscard]] KVSIEVE_HD seen_keys seen_of(int row) const {
    place const at = place_of(row);
    return set[at.set].seen(at.query, cached);
  }
  /// True when `seen` holds token t.
  [[nodiscard]] KVSIEVE_HD bool sees(seen_keys const& seen, int t) const {
    return restricted ? seen.sees(t) : t <= seen.last;
  }
  /// Calls f(what the last of them sees) for every set that rows [first, last) have queries of.
  template <class F>
  KVSIEVE_HD void each_set(int first, int last, F const& f) const {
    bool const one_head = first / observed == (last - 1) / observed;
    int const from = before + (one_head ? first % observed : 0);
    int const to = before + (one_head ? (last - 1) % observed : observed - 1);
    for (int s = 0, begin = 0; s < set_count; begin += set[s++].count)
      if (begin <= to && from < begin + set[s].count)
        f(set[s].seen((to < begin + set[s].count ? to - begin : set[s].count - 1), cached));
  }
  /// Largest token that a query of rows [first, last) sees.
  [[nodiscard]] KVSIEVE_HD int last_seen(int first, int last) const {
    int most = -1;
    each_set(first, last, [&](seen_keys const& seen) { most = most < seen.last ? seen.last : most; });
    return most;
  }
  /// True when one of rows [first, last) sees one of tokens [from, to).
  [[nodiscard]] KVSIEVE_HD bool sees_some(int first, int last, int from, int to) const {
    bool some = false;
    each_set(first, last, [&](seen_keys const& seen) { some = some || seen.sees_some(from, to); });
    return some;
  }
};

template <row_view Queries, row_view Keys>
struct queries_args {
  batch<queries_part<Queries, Keys>> views;
};
/// The same for a group policy that weighs: a factor for each query head, or for each of its tokens.
template <row_view Queries, row_view Keys>
struct weighed_queries_part : queries_part<Queries, Keys> {
  float const* weight;  ///< of the view's query heads, rows of `weight_stride`
  index weight_stride;
};
/// The same for an accumulator that measures the view.
template <class Part>
struct measured_queries_part : Part {
  double* measured;  ///< [heads, token tiles, statistics], or null where nobody reads them
};
/// The same for a call that brings some of the observed queries.
template <class Part>
struct resumed_queries_part : Part {
  int all;       ///< observed queries of all calls
  float* state;  ///< [heads, state_rows] rows of `stride`: what was folded of those before
  /// True when the last query came.
  [[nodiscard]] KVSIEVE_HD bool ends() const { return this->before + this->observed == all; }
};
/// What a launch that folds is told of a view.
template <class Aggregate, class Group, row_view Queries, row_view Keys, bool InParts = false>
struct folded {
  using plain = cs::conditional_t<weighs_heads<Group> || weighs_tokens<Group>, weighed_queries_part<Queries, Keys>,
                                  queries_part<Queries, Keys>>;
  using whole = cs::conditional_t<(statistics_of<Aggregate> > 0), measured_queries_part<plain>, plain>;
  using part = cs::conditional_t<InParts, resumed_queries_part<whole>, whole>;
};
template <accumulator Aggregate, class Group, row_view Queries, row_view Keys, bool InParts = false>
struct fold_queries_args {
  batch<typename folded<Aggregate, Group, Queries, Keys, InParts>::part> views;
  typename Aggregate::params params;
};
/// Rows of state of a KV head between the calls that bring its queries; query heads that are folded at once share them.
template <class Aggregate, class Group>
[[nodiscard]] KVSIEVE_HD constexpr index state_rows(index group) {
  return (Aggregate::linear && Group::additive ? 1 : group) * Aggregate::states;
}

/// Floats of a row's part in `partial`: with a pool also the sums over the tokens that it meets.
template <class Aggregate>
inline constexpr int floats_of_part = pools_tokens<Aggregate> ? 4 : 2;

/// Segments into which the keys are cut for the first launch, so that few queries still make many blocks. They depend
/// on the shape alone.
struct key_segments {
  int count = 1, tokens = 0;
};
[[nodiscard]] KVSIEVE_HD constexpr key_segments segments_of(index rows, int tokens) {
  index const by_rows = rows >= 4096 ? 1 : 4096 / (rows < 64 ? 64 : rows);  // 64 segments for up to 64 rows
  int const by_tokens = pieces(tokens, 256), wanted = by_rows < by_tokens ? static_cast<int>(by_rows) : by_tokens;
  int const length = pieces(pieces(tokens, wanted < 1 ? 1 : wanted), 64) * 64;
  return {pieces(tokens, length < 64 ? 64 : length), length};
}
}  // namespace device
}  // namespace kvsieve::inline v0
