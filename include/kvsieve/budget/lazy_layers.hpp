// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Layers that look at the ends of the sequence keep the ends, the others everything.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// SimLayerKV (arXiv 2410.13846) as kvpress has it: a layer whose scores, the mean over its heads, sum to more than
/// `threshold` on the first `sink` and the last `recent` scored tokens is lazy, and keeps the first `sink` and the last
/// recent - W tokens, W being those that the score itself keeps; all others keep everything. Sequences of at most sink
/// + recent + W tokens, and a threshold of 1, leave all layers whole. Scores have to be probabilities: the mean over
/// queries and heads of a group, not pooled. What stays follows from the scores, not from a budget.
struct lazy_layers : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U2;  ///< how alike its counts are
  static constexpr bool reads_scores = true;                      ///< of the whole call
  static constexpr bool measures = true;                          ///< a number of each head tells its counts

  /// Its numbers.
  struct params {
    double threshold = 0.9;  ///< of the mass on the ends above which a layer is lazy
    int sink = 4;            ///< first tokens
    int recent = 1024;       ///< last tokens that are measured; lazy layers keep the score's window less
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("threshold", self.threshold, "mass", "on the ends, above which a layer keeps only these; 1: none does");
      visit("sink", self.sink, "tokens", "first tokens that a lazy layer keeps");
      visit("recent", self.recent, "tokens", "last tokens that are measured; a lazy layer keeps its window less");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("budget.threshold", threshold, 0, 1), range::at_least("budget.sink", sink, 0),
                        range::at_least("budget.recent", recent, 1));
    }
  };

  /// Most tokens that the heads of a view may keep together.
  static constexpr cs::int64_t room(params const&, int heads, int tokens) { return cs::int64_t{heads} * tokens; }
  /// What stays in a lazy layer; others keep everything.
  static constexpr forced_ends forced(params const& p, scored_view const& seen) {
    return {p.sink, p.recent > seen.ends.tail ? p.recent - seen.ends.tail : seen.ends.tail};
  }

  /// Each view by itself.
  static constexpr int step(params const&, int /*views*/) { return 1; }
  /// What a head of a lazy layer keeps.
  template <class Rows>
  static constexpr int asked(params const& p, Rows const& rows, int view) {
    int const tail = rows.tokens(view) - rows.scored(view);
    return counts::limited(cs::int64_t{p.sink} + (p.recent > tail ? p.recent - tail : tail), rows.tokens(view));
  }
  /// Mass of a head on the ends; below any number where the layer is whole.
  KVSIEVE_CALLS_GIVEN
  template <class Row>
  KVSIEVE_HD static double measure(params const& p, Row const& row) {
    if (!(p.threshold < 1) || row.scored <= cs::int64_t{p.sink} + p.recent) return -__builtin_inf();
    int const behind = row.scored - p.recent - p.sink;  // from a place among the ends to the token, past the sinks
    return row.sum(p.sink + p.recent,
                   [&](double sum, int i) { return sum + static_cast<double>(row[i < p.sink ? i : i + behind]); });
  }
  /// The counts of a view.
  KVSIEVE_HD static void split(params const& p, counts::sequence const& s) {
    for (int i = 0; i < s.views; ++i) {
      double mass = 0;
      for (int h = 0; h < s.heads; ++h) mass += s.number[cs::int64_t{i} * s.heads + h];
      s.keep(i, mass / s.heads > p.threshold ? s.view[i].forced : s.view[i].tokens);
    }
  }
  /// Tokens of each head, [views, heads].
  template <class Rows>
  static void allot(params const& p, Rows const& rows, int* count) {
    rows.template split_measured<lazy_layers>(p, count);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
