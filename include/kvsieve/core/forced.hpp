// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The tokens that stay whatever their score, and which of them give way where the budget is smaller.
#pragma once
#include <kvsieve/core/config.hpp>
#include <kvsieve/core/math.hpp>

namespace kvsieve::inline v0 {

/// Most tokens of a view: loops step through tokens and query rows in int, up to a block's share past the end.
inline constexpr int most_tokens = 2147418112;

/// What a scorer itself keeps, whatever the scores say: the first `head` and the last `tail` tokens.
struct forced_ends {
  int head = 0;  ///< first tokens
  int tail = 0;  ///< last tokens
};

/// Equal spans of tokens in which a selection may be made apart: `count` spans of `length` from `begin` on.
struct partition {
  int begin = 0;   ///< first token of the first span
  int length = 0;  ///< tokens of a span
  int count = 0;   ///< spans
};

/// The first `sink`, the last `recent` and the listed tokens out of `tokens`.
struct forced_set {
  int tokens = 0;                   ///< length of the row
  int sink = 0;                     ///< first tokens in the set
  int recent = 0;                   ///< last tokens in the set
  int const* white_list = nullptr;  ///< ascending; each inside the row
  int white_count = 0;              ///< entries of `white_list`
  int first = 0;                    ///< listed indices count from here to the left of the row's first token

  /// Entries of the white list below t.
  [[nodiscard]] KVSIEVE_HD constexpr int listed_below(int t) const {
    return count_below(white_list, white_count, t + first);
  }
  /// True when token t is in the set.
  [[nodiscard]] KVSIEVE_HD constexpr bool holds(int t) const {
    if (t < sink || t >= tokens - recent) return true;
    if (white_count == 0) return false;
    int const at = listed_below(t);
    return at < white_count && white_list[at] - first == t;
  }
  /// Tokens in the set.
  [[nodiscard]] KVSIEVE_HD constexpr int size() const {
    int const rest = tokens - sink, last = recent < rest ? recent : rest;
    return sink + last + (listed_below(tokens - last) - listed_below(sink));
  }
  /// The part of the set in tokens [begin, begin + length), as a set of these alone.
  [[nodiscard]] KVSIEVE_HD constexpr forced_set within(int begin, int length) const {
    int const behind = tokens - begin - length, at = listed_below(begin);
    int const head = sink - begin, tail = recent - behind;
    forced_set s;
    s.tokens = length;
    s.sink = head < 0 ? 0 : head < length ? head : length;
    s.recent = tail < 0 ? 0 : tail < length ? tail : length;
    s.white_list = white_list + at;
    s.white_count = listed_below(begin + length) - at;
    s.first = first + begin;
    return s;
  }
  /// The set cut to `keep` tokens: recent tokens go first, the oldest first, then sinks, the last first. The white list
  /// stays whole here; should it alone be too long, selection drops its largest indices.
  [[nodiscard]] KVSIEVE_HD constexpr forced_set cut(int keep) const {
    forced_set s = *this;
    s.sink = sink < 0 ? 0 : sink < tokens ? sink : tokens;
    s.recent = recent < 0 ? 0 : recent < tokens ? recent : tokens;
    if (s.size() <= keep) return s;
    s.recent = largest(s, &forced_set::recent, s.recent, keep);
    if (s.size() > keep) s.sink = largest(s, &forced_set::sink, s.sink, keep);
    return s;
  }

 private:
  /// Largest value of a member in [0, limit] with which the set fits; 0 where none does.
  KVSIEVE_HD static constexpr int largest(forced_set s, int forced_set::* member, int limit, int keep) {
    int from = 0, to = limit;
    while (from < to) {
      int const middle = from + (to - from + 1) / 2;
      s.*member = middle;
      if (s.size() <= keep)
        from = middle;
      else
        to = middle - 1;
    }
    return from;
  }
};
}  // namespace kvsieve::inline v0
