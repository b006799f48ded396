// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which keys an observed query sees and how much it counts: what every observation comes down to.
#pragma once
#include <kvsieve/core/range.hpp>

namespace kvsieve::inline v0 {

/// Keys that one query sees: up to `last`, and of those before `own` only [0, sink) and [from, to).
struct seen_keys {
  int last = 0;  ///< last key seen
  int own = 0;   ///< first key of the part seen up to `last`
  int sink = 0;  ///< first keys seen
  int from = 0;  ///< further keys seen, from here
  int to = 0;    ///< to before here

  /// True when the query sees key t.
  [[nodiscard]] KVSIEVE_HD constexpr bool sees(int t) const {
    return t <= last && (t >= own || t < sink || (from <= t && t < to));
  }
  /// Keys seen.
  [[nodiscard]] KVSIEVE_HD constexpr int count() const { return last + 1 - own + sink + (to - from); }
  /// True when some key of [first, end) is seen.
  [[nodiscard]] KVSIEVE_HD constexpr bool sees_some(int first, int end) const {
    return first <= last && (end > own || first < sink || (first < to && from < end));
  }
  /// True when every key of [first, end) is seen; may miss a range that two parts cover together.
  [[nodiscard]] KVSIEVE_HD constexpr bool sees_all(int first, int end) const {
    return end <= last + 1 && (first >= own || end <= sink || (from <= first && end <= to));
  }
};

/// Queries that lie one behind another and have the same weight.
struct query_set {
  int count = 0;      ///< queries
  float weight = 1;   ///< how many queries each counts for: see each aggregate policy
  int position = -1;  ///< token of its first query, each sees the keys up to its own token; -1: each sees every key of
                      ///< the cache
  int sink = 0;       ///< with `to`: first keys that are seen
  int from = 0;       ///< with `to`: further keys that are seen, from here
  int to = -1;        ///< to before here, and no other key before `position`; -1: all keys before it

  /// Keys that query i sees; the cache has `cached` tokens before the queries' own.
  [[nodiscard]] KVSIEVE_HD constexpr seen_keys seen(int i, int cached) const {
    seen_keys s;
    s.last = position < 0 ? cached - 1 : position + i;
    if (to < 0) return s;
    s.own = position < 0 ? cached : position;
    s.sink = sink;
    s.from = from;
    s.to = to;
    return s;
  }
  /// How many of its queries see token t.
  [[nodiscard]] KVSIEVE_HD constexpr int observers(int t, int cached) const {
    if (position < 0) return seen(0, cached).sees(t) ? count : 0;
    if (t < position) return to < 0 || t < sink || (from <= t && t < to) ? count : 0;
    return t - position < count ? count - (t - position) : 0;
  }

  /// Ok, or what does not fit a view of `tokens`, of which the first `cached` are the cache.
  [[nodiscard]] constexpr status check(int tokens, int cached) const {
    status s =
        range::all(range::at_least("score.sets.count", count, 1), range::within("score.sets.weight", weight, 0, 1e30),
                   range::at_least("score.sets.position", position, -1));
    if (s && position >= 0) s = range::within("score.sets.position + count", double{1} * position + count, 1, tokens);
    if (s && to >= 0) {
      int const before = position < 0 ? cached : position;
      s = range::all(range::at_least("score.sets.sink", sink, 0), range::at_least("score.sets.from", from, sink),
                     range::within("score.sets.to", to, from, before));
      if (s && position < 0)
        s = range::at_least("score.sets.to, of queries that see nothing else,", sink + to - from, 1);
    }
    return s;
  }
};
}  // namespace kvsieve::inline v0
