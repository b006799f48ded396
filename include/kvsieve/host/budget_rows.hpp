// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a budget that is not closed may ask for: the scores of all heads, and how the best of them fall on the heads.
#pragma once
#include <kvsieve/core/rules.hpp>
#include <kvsieve/host/count_best.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// The rows of scores of a call, one for each view and KV head. Counts lie in the same order: view * heads() + head.
template <class Exec, class Rules>
class budget_rows {
 public:
  budget_rows(Exec const& on, Rules const& rules, cs::span<scored_view const> seen, score_rows scores,
              count_best_scratch const& scratch)
      : on_(on), rules_(rules), seen_(seen), scores_(scores), scratch_(scratch) {}

  [[nodiscard]] int views() const { return static_cast<int>(seen_.size()); }
  [[nodiscard]] int heads() const { return rules_.call.heads; }
  [[nodiscard]] int tokens(int view) const { return seen_[static_cast<std::size_t>(view)].tokens; }
  /// Scores of a head [tokens(view)], after smoothing.
  [[nodiscard]] cs::span<float const> row(int view, int head) const {
    return {scores_.row(view, head, tokens(view)), static_cast<cs::size_t>(tokens(view))};
  }
  /// What each head of a view keeps whatever its scores, when heads keep `kept` on average. Counts include it.
  [[nodiscard]] forced_set forced(int view, int kept) const {
    return rules_.forced(seen_[static_cast<std::size_t>(view)], kept);
  }

  /// Memory of a budget's own, [views * heads]; best() writes it.
  [[nodiscard]] index* scratch() const { return scratch_.held; }

  /// Spends `total` tokens on the heads of views [first, last): each gets its forced tokens and as many of its best as
  /// make that `least`, and the best scores of all of them together get the rest; equal scores: the lower view, then
  /// the lower head. Where `total` is less than the forced tokens, all heads get the same (the lower ones one more).
  /// @pre least * the number of heads <= total <= all tokens of these heads
  void best(int first, int last, index total, int* count, int least = 0) const {
    index const rows = index{last - first} * heads();
    if (rows == 0) return;
    auto const forced_of = [&](index i) {
      int const v = first + static_cast<int>(i / heads());
      index const average = total / rows;
      return forced(v, average < tokens(v) ? static_cast<int>(average) : tokens(v));
    };
    index forced_tokens = 0;
    for (index i = 0; i < rows; ++i) forced_tokens += forced_of(i).size();
    int* const out = count + index{first} * heads();
    if (total < forced_tokens) {
      for (index i = 0; i < rows; ++i) out[i] = static_cast<int>(total / rows + (i < total % rows ? 1 : 0));
      return;
    }
    // A head whose best do not suffice is held at `least` and leaves; the cut of the others only rises by that.
    for (index i = 0; i < rows; ++i) scratch_.held[i] = 0;
    auto const competing = [&](index i) {
      int const v = first + static_cast<int>(i / heads());
      return competing_row{scores_.row(v, i % heads(), tokens(v)), scratch_.held[i] > 0 ? forced_set{} : forced_of(i)};
    };
    for (index left = total - forced_tokens, held = 1; held > 0;) {
      count_best(on_, rows, competing, left, out, scratch_);
      held = 0;
      for (index i = 0; i < rows; ++i) {
        if (int const own = forced_of(i).size(); scratch_.held[i] == 0 && out[i] + own < least) {
          scratch_.held[i] = least - own;
          left -= least - own;
          ++held;
        }
      }
    }
    for (index i = 0; i < rows; ++i) out[i] += forced_of(i).size() + static_cast<int>(scratch_.held[i]);
  }

 private:
  Exec const& on_;
  Rules const& rules_;
  cs::span<scored_view const> seen_;
  score_rows scores_;
  count_best_scratch scratch_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
