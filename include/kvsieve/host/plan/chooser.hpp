// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From scores to a plan: how many tokens each head keeps, and which.
#pragma once
#include <kvsieve/core/plan.hpp>
#include <kvsieve/host/budget/budget_rows.hpp>
#include <kvsieve/host/score/shape_scores.hpp>
#include <kvsieve/host/select/select_pieces.hpp>
#include <kvsieve/host/select/select_representatives.hpp>
#include <kvsieve/host/select/select_runs.hpp>
#include <kvsieve/host/select/select_twice.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Budget, class Select>
class chooser {
  using rules_type = selection_rules<Budget, Select>;
  static constexpr bool closed = closed_budget<Budget>;
  static constexpr bool floats = counts_float<Select>;
  static constexpr bool shares_choices = requires(rules_type const& r) { Select::follows(r.select, 1); };
  using driver = selection<Select>;
  static constexpr bool reads_scores = requires { requires Budget::reads_scores; };

 public:
  /// Carves what a plan over views is made of; seen(v) describes view v.
  template <class Seen>
  static chooser carve(arena& a, rules_type const& rules, Seen const& seen, int workers) {
    chooser c(rules);
    index const views = rules.call.views, heads = rules.call.heads;
    index longest = 0, scores = 0, lists = 0;
    for (index v = 0; v < views; ++v) {
      scored_view const s = seen(v);
      longest = longest < s.tokens ? s.tokens : longest;
      scores += heads * score_stride(s.tokens);
      // Before the scores a list may be anything up to a row; it moves to its place when all of them are known.
      if constexpr (floats || (recounting<Select> && !closed))
        lists += heads * s.tokens;
      else if constexpr (closed)
        for (index h = 0; h < heads; ++h) lists += rules.kept(s, static_cast<int>(v), static_cast<int>(h));
      else
        lists += Budget::room(rules.budget, static_cast<int>(heads), s.tokens);
    }
    auto const n = [](index count) { return static_cast<std::size_t>(count); };
    c.room_ = round_up<index>(longest, 16) + 16;
    c.seen_ = a.take<scored_view>(n(views));
    c.offset_ = a.take<index>(n(views * heads + 1));
    c.score_offset_ = a.take<index>(n(views));
    c.logical_tokens_ = a.take<int>(n(views));
    c.count_ = a.take<int>(n(views * heads));
    c.allotted_ = a.take<int>(n(views * heads));
    c.list_ = a.take<int>(n(lists));
    c.key_ = a.take<unsigned>(n(c.room_ * workers));
    c.candidate_ = a.take<unsigned>(n(c.room_ * workers));
    if constexpr (!closed) c.best_ = count_best_scratch::carve(a, views * heads, reads_scores ? scores : 0);
    if constexpr (ranks_curves<Budget>) c.memory_.places = count_places_scratch::carve(a, views, heads, scores);
    if constexpr (measures_rows<Budget>) c.memory_.view = a.take<counts::sequence_view>(n(views));
    auto const row_if = [&](bool needed) { return needed ? n(c.room_ * workers) : 0; };
    c.score_ = a.take<float>(row_if(driver::needs_scores));
    for (int i = 0; i < 2; ++i) c.pieces_[i] = a.take<int>(row_if(i < driver::needs_lists));
    c.number_ = a.take<index>(row_if(driver::needs_numbers));
    if (c.seen_ != nullptr)
      for (index v = 0; v < views; ++v) c.seen_[v] = seen(v);
    return c;
  }

  [[nodiscard]] cs::span<scored_view const> seen() const { return {seen_, static_cast<cs::size_t>(rules_.call.views)}; }
  /// What one worker selects with.
  [[nodiscard]] top_k_scratch scratch(int worker) const { return {key_ + room_ * worker, candidate_ + room_ * worker}; }
  [[nodiscard]] int* list(index row) const { return list_ + offset_[row]; }
  [[nodiscard]] int count(index row) const { return count_[row]; }

  /// Where the scores of a call lie, one view behind another from `data` on.
  [[nodiscard]] score_rows place_scores(float* data) const {
    index scores = 0;
    for (index v = 0; v < rules_.call.views; ++v) {
      score_offset_[v] = scores;
      logical_tokens_[v] = seen_[v].tokens;
      scores += rules_.call.heads * score_stride(seen_[v].tokens);
    }
    return {data, score_offset_};
  }

  /// Counts, from the scores where the budget reads them, and where each list begins.
  template <class Exec>
  void count_tokens(Exec const& on, score_rows const& scores, [[maybe_unused]] layer_statistics const& measured,
                    token_plan& plan) const {
    int const views = rules_.call.views, heads = rules_.call.heads;
    if constexpr (closed) {
      for (int v = 0; v < views; ++v)
        for (int h = 0; h < heads; ++h) allotted_[index{v} * heads + h] = rules_.allotted(seen_[v], v, h);
    } else {
      budget_rows<Exec, rules_type> const rows(on, rules_, seen(), scores, measured, best_, memory_);
      Budget::allot(rules_.budget, rows, allotted_);
    }
    index lists = 0;
    for (index row = 0; row < index{views} * heads; ++row) {
      scored_view const& s = seen_[row / heads];
      offset_[row] = lists;
      count_[row] = floats ? s.tokens : rules_.selected(s, allotted_[row]);
      lists += count_[row];
      shortage const short_of = driver::short_of(rules_.select, row_of(row, nullptr, nullptr), more_scratch(0));
      if (plan.note && short_of.needed > short_of.budget)
        plan.note = fail(errc::bad_params, "budget", short_of.budget, short_of.rule, short_of.needed,
                         static_cast<int>(row / heads));
    }
    offset_[index{views} * heads] = lists;
    plan.views = views;
    plan.heads = heads;
    plan.logical_tokens = logical_tokens_;
    plan.offset = offset_;
    plan.list = list_;
    plan.score = scores.data;
    plan.score_offset = score_offset_;
  }

  /// Selects in every row, and marks the forced tokens in it. `weighed` has rows like `scores`, for a selection that
  /// reads both: scores with the weight, or cosines of neighbouring keys.
  template <class Exec>
  void select(Exec const& on, score_rows const& scores, score_rows const& weighed = {}) const {
    index const heads = rules_.call.heads, rows = rules_.call.views * heads;
    auto const mark = [&](index i) {
      scored_view const& s = seen_[i / heads];
      mark_forced(scores.row(i / heads, i % heads, s.tokens), rules_.forced(s, allotted_[i]));
    };
    on.for_each(rows, [&](index i, int worker) {
      index const v = shares_choices ? leader(i / heads) : i / heads;
      int const tokens = seen_[v].tokens;
      float const* const second =
          reads_unweighed<Select> || reads_links<Select> ? weighed.row(v, i % heads, tokens) : nullptr;
      count_[i] = driver::run(rules_.select, row_of(i, scores.row(v, i % heads, tokens), second), list(i),
                              more_scratch(worker));
      if (!shares_choices) mark(i);
    });
    if (shares_choices) on.for_each(rows, [&](index i, int) { mark(i); });
    if (floats) pack();
  }

 private:
  explicit chooser(rules_type const& rules) : rules_(rules) {}

  [[nodiscard]] selection_scratch more_scratch(int worker) const {
    auto const own = [&](auto* p) { return p == nullptr ? p : p + room_ * worker; };
    return {scratch(worker), own(score_), {own(pieces_[0]), own(pieces_[1])}, own(number_)};
  }
  [[nodiscard]] selection_row row_of(index i, float const* score, float const* weighed) const {
    index const heads = rules_.call.heads;
    scored_view const& s = seen_[i / heads];
    int each = 0;
    if constexpr (Select::in_partitions && closed)
      each = Budget::count(rules_.budget, {s.spans.length, static_cast<int>(i / heads), rules_.call.views,
                                           static_cast<int>(i % heads), static_cast<int>(heads)});
    int const keep = allotted_[i];
    return {score, weighed, s, static_cast<int>(i), keep, each, rules_.share(s, keep), rules_.forced(s, keep)};
  }
  /// The view whose choice view `v` takes.
  [[nodiscard]] index leader(index v) const {
    if constexpr (shares_choices)
      while (v > 0 && Select::follows(rules_.select, static_cast<int>(v)) && seen_[v - 1].tokens == seen_[v].tokens)
        --v;
    return v;
  }
  /// Moves the lists one behind another.
  void pack() const {
    index const rows = index{rules_.call.views} * rules_.call.heads;
    index lists = 0;
    for (index i = 0; i < rows; ++i) {
      int const* const from = list(i);
      offset_[i] = lists;
      if (from != list(i))
        for (int k = 0; k < count_[i]; ++k) list(i)[k] = from[k];
      lists += count_[i];
    }
    offset_[rows] = lists;
  }

  rules_type rules_;
  scored_view* seen_ = nullptr;
  index *offset_ = nullptr, *score_offset_ = nullptr;
  int *logical_tokens_ = nullptr, *count_ = nullptr, *allotted_ = nullptr, *list_ = nullptr;
  unsigned *key_ = nullptr, *candidate_ = nullptr;  ///< a row a worker
  // A row a worker, where the driver asks for it.
  float* score_ = nullptr;
  int* pieces_[2] = {};
  index* number_ = nullptr;
  index room_ = 0;
  count_best_scratch best_{};
  budget_memory memory_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
