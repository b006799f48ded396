// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a budget that is not closed may ask for: the scores of all heads, and how the best of them fall on the heads.
#pragma once
#include <kvsieve/core/counts.hpp>
#include <kvsieve/core/rules.hpp>
#include <kvsieve/core/scores.hpp>
#include <kvsieve/core/strands.hpp>
#include <kvsieve/host/budget/count_best.hpp>
#include <kvsieve/host/budget/count_mass.hpp>
#include <kvsieve/host/budget/count_places.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// The scores of a head, as a budget measures them; the same numbers come out on the device.
struct measured_row {
  float const* score;  ///< [tokens]
  int scored;          ///< tokens that have scores
  unsigned* room;      ///< as count_mass asks for

  /// Score of a token.
  [[nodiscard]] KVSIEVE_HD float operator[](int t) const { return score[t]; }
  /// The sum of n terms; add(sum, i) gives `sum` with term i added.
  template <class Add>
  [[nodiscard]] double sum(int n, Add const& add) const {
    return sum_of_strands(n, add);
  }
  /// How many of the largest scores make up `share` of the sum of the positive ones, at least 1.
  [[nodiscard]] index mass(double share) const { return count_mass(score, scored, share, room); }
};

/// What a budget asks for beside its counts.
struct budget_memory {
  count_places_scratch places{};          ///< of a budget that ranks places
  counts::sequence_view* view = nullptr;  ///< [views], of a budget that measures rows
};

/// The rows of scores of a call, one for each view and KV head. Counts lie in the same order: view * heads() + head.
template <class Exec, class Rules>
class budget_rows {
 public:
  budget_rows(Exec const& on, Rules const& rules, cs::span<scored_view const> seen, score_rows scores,
              layer_statistics const& measured, count_best_scratch const& scratch, budget_memory const& memory)
      : on_(on), rules_(rules), seen_(seen), scores_(scores), measured_(measured), scratch_(scratch), memory_(memory) {}

  [[nodiscard]] int views() const { return static_cast<int>(seen_.size()); }
  [[nodiscard]] int heads() const { return rules_.call.heads; }
  [[nodiscard]] int tokens(int view) const { return seen_[static_cast<std::size_t>(view)].tokens; }
  /// Tokens that have scores: the scorer's own tail has none.
  [[nodiscard]] int scored(int view) const {
    int const tail = seen_[static_cast<std::size_t>(view)].ends.tail;
    return tail < tokens(view) ? tokens(view) - tail : 0;
  }
  /// Bytes of a token of a head, 0 where they are not known.
  [[nodiscard]] int row_bytes() const { return rules_.call.row_bytes; }
  /// Scores of a head [tokens(view)], after smoothing.
  [[nodiscard]] cs::span<float const> row(int view, int head) const {
    return {scores_.row(view, head, tokens(view)), static_cast<cs::size_t>(tokens(view))};
  }
  /// Number `i` of what the aggregate policy measured of a view; of a budget that names how many it reads:
  /// `statistics`.
  [[nodiscard]] double statistic(int view, int i) const { return measured_.of(view, i); }
  /// What each head of a view keeps whatever its scores, when heads keep `kept` on average. Counts include it.
  [[nodiscard]] forced_set forced(int view, int kept) const {
    return rules_.forced(seen_[static_cast<std::size_t>(view)], kept);
  }

  /// Counts of a budget that measures rows: a number of each head, then the sequences one after another.
  template <measures_rows Budget>
  void split_measured(typename Budget::params const& p, int* count) const {
    each_row([&](int v, int h) {
      // Each head its own part of the candidates' memory and the 16 behind it, so that all may count at once.
      float const* const score = scores_.row(v, h, tokens(v));
      index const i = index{v} * heads() + h, at = score - scores_.data + 16 * i;
      numbers()[i] = Budget::measure(p, measured_row{score, scored(v), scratch_.candidate + at});
    });
    int const step = Budget::step(p, views());
    for (int first = 0; first < views(); first += step) {
      for (int i = 0; i < step; ++i) {
        int const v = first + i;
        memory_.view[i] = {tokens(v), forced(v, Budget::asked(p, *this, v)).size(), false};
        if constexpr (requires { Budget::whole(p, 1, 1); }) memory_.view[i].whole = Budget::whole(p, views(), v);
      }
      index const row = index{first} * heads();
      Budget::split(p, {memory_.view, step, heads(), numbers() + row, scratch(), count + row});
    }
  }

  /// Memory of a budget's own, [views * heads]; best() writes it.
  [[nodiscard]] index* scratch() const { return scratch_.held; }
  /// Memory of a budget's own, [views * heads].
  [[nodiscard]] double* numbers() const { return scratch_.number; }

  /// Calls f(view, head) for all of them, in no order, possibly at once.
  template <class F>
  void each_row(F const& f) const {
    on_.for_each(index{views()} * heads(),
                 [&](index i, int) { f(static_cast<int>(i / heads()), static_cast<int>(i % heads())); });
  }

  /// Spends `total` tokens on the heads of views [first, last): each gets its forced tokens and as many of its best as
  /// make that `least`, and the best scores of all of them together get the rest; equal scores: the lower view, then
  /// the lower head, or, with `drop_ties`, none that equal the last one that would stay. Where `total` is less than the
  /// forced tokens, all heads get the same as far as they have tokens (the lower ones one more).
  /// @pre least * the number of heads <= total <= all tokens of these heads
  void best(int first, int last, index total, int* count, int least = 0, bool drop_ties = false) const {
    index const rows = index{last - first} * heads();
    if (rows == 0) return;
    auto const view_of = [&](index i) { return first + static_cast<int>(i / heads()); };
    spend(
        rows, total, [&](index i) { return forced_of_average(view_of(i), total / rows); },
        [&](index i) { return scores_.row(view_of(i), i % heads(), tokens(view_of(i))); },
        count + index{first} * heads(), least, drop_ties);
  }

  /// The same by numbers that say all this.
  void best(counts::ranking const& r, int* count) const { best(r.first, r.last, r.total, count, r.least, r.drop_ties); }

  /// Spends the ranking's tokens, a head, on its views by their curves: place i of a view's curve is the mean over
  /// its heads of their i-th best scores, forced tokens left out; the first view's curve is raised to the others'
  /// wherever it is lower. Counts are alike in a view. For a budget that says `ranks_places`.
  void best_of_curves(counts::ranking const& r, int* count) const {
    int const first = r.first, least = r.least;
    index const layers = r.last - first, total = r.total;
    int* const out = count + index{first} * heads();
    auto const forced_of = [&](index l) { return forced_of_average(first + static_cast<int>(l), total / layers); };
    if (index const left = without_forced(layers, total, forced_of, out); left >= 0) {
      for (index l = 0; l < layers; ++l) {
        index const own = forced_of(l).size();
        memory_.places.least[l] = own < least ? least - own : 0;
      }
      auto const row = [&](index l, index h) {
        return competing_row{scores_.row(first + l, h, tokens(first + static_cast<int>(l))), forced_of(l)};
      };
      count_places(on_, layers, heads(), row, left, memory_.places.least, memory_.places.kept, scratch_,
                   memory_.places);
      for (index l = 0; l < layers; ++l) out[l] = forced_of(l).size() + static_cast<int>(memory_.places.kept[l]);
    }
    for (index l = layers; l-- > 0;)
      for (index h = heads(); h-- > 0;) out[l * heads() + h] = out[l];
  }

 private:
  [[nodiscard]] forced_set forced_of_average(int view, index average) const {
    return forced(view, average < tokens(view) ? static_cast<int>(average) : tokens(view));
  }

  // What the forced tokens leave of `total`. Where they are more, all rows get the same as far as they have tokens.
  template <class Forced>
  index without_forced(index rows, index total, Forced const& forced_of, int* out) const {
    index left = total;
    for (index i = 0; i < rows; ++i) left -= forced_of(i).size();
    if (left >= 0) return left;
    counts::share_equally(rows, total, [&](index i) { return index{forced_of(i).tokens}; }, scratch_.held);
    for (index i = 0; i < rows; ++i) out[i] = static_cast<int>(scratch_.held[i]);
    return left;
  }

  // Rows with forced tokens and scores.
  template <class Forced, class Scores>
  void spend(index rows, index total, Forced const& forced_of, Scores const& scores_of, int* out, int least,
             bool drop_ties) const {
    index left = without_forced(rows, total, forced_of, out);
    if (left < 0) return;
    // A head whose best do not suffice is held at `least` and leaves; the cut of the others only rises by that.
    for (index i = 0; i < rows; ++i) scratch_.held[i] = 0;
    auto const competing = [&](index i) {
      return competing_row{scores_of(i), scratch_.held[i] == 0 ? forced_of(i) : forced_set{}};
    };
    for (index held = 1; held > 0;) {
      count_best(on_, rows, competing, left, out, scratch_, drop_ties);
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

  Exec const& on_;
  Rules const& rules_;
  cs::span<scored_view const> seen_;
  score_rows scores_;
  layer_statistics measured_;
  count_best_scratch scratch_;
  budget_memory memory_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
