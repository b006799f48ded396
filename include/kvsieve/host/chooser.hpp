// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// From scores to a plan: how many tokens each head keeps, and which.
#pragma once
#include <kvsieve/core/plan.hpp>
#include <kvsieve/host/budget_rows.hpp>
#include <kvsieve/host/selection.hpp>
#include <kvsieve/host/shape_scores.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Budget, class Select>
class chooser {
  using rules_type = selection_rules<Budget, Select>;
  static constexpr bool closed = closed_budget<Budget>;
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
      if constexpr (closed)
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
    c.list_ = a.take<int>(n(lists));
    c.key_ = a.take<unsigned>(n(c.room_ * workers));
    c.candidate_ = a.take<unsigned>(n(c.room_ * workers));
    if constexpr (!closed) c.best_ = count_best_scratch::carve(a, views * heads, reads_scores ? scores : 0);
    if constexpr (requires { Budget::sorts_rows; }) {
      c.sorted_.key = a.take<unsigned>(n(scores));
      c.sorted_.curve = a.take<float>(n(heads > 0 ? scores / heads : 0));
    }
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
        for (int h = 0; h < heads; ++h) count_[index{v} * heads + h] = rules_.kept(seen_[v], v, h);
    } else {
      budget_rows<Exec, rules_type> const rows(on, rules_, seen(), scores, measured, best_, sorted_);
      Budget::allot(rules_.budget, rows, count_);
    }
    index lists = 0;
    for (index row = 0; row < index{views} * heads; ++row) {
      scored_view const& s = seen_[row / heads];
      offset_[row] = lists;
      lists += count_[row];
      if constexpr (!Select::in_partitions)
        if (int const needed = rules_.forced(s, count_[row]).size(); plan.note && needed > count_[row])
          plan.note = fail(errc::bad_params, "budget", count_[row], "less than the forced tokens,", needed,
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

  /// Selects in every row, and marks the forced tokens in it.
  template <class Exec>
  void select(Exec const& on, score_rows const& scores) const {
    index const heads = rules_.call.heads, rows = rules_.call.views * heads;
    on.for_each(rows, [&](index i, int worker) {
      index const v = i / heads;
      scored_view const& s = seen_[v];
      float* const row = scores.row(v, i % heads, s.tokens);
      forced_set const f = rules_.forced(s, count_[i]);
      int each = 0;
      if constexpr (Select::in_partitions && closed)
        each = Budget::count(rules_.budget, {s.spans.length, static_cast<int>(v), rules_.call.views,
                                             static_cast<int>(i % heads), static_cast<int>(heads)});
      selection<Select>::run({row, s, count_[i], each, f.cut(count_[i])}, list(i), scratch(worker));
      mark_forced(row, f);
    });
  }

 private:
  explicit chooser(rules_type const& rules) : rules_(rules) {}

  rules_type rules_;
  scored_view* seen_ = nullptr;
  index *offset_ = nullptr, *score_offset_ = nullptr;
  int *logical_tokens_ = nullptr, *count_ = nullptr, *list_ = nullptr;
  unsigned *key_ = nullptr, *candidate_ = nullptr;  ///< a row a worker
  index room_ = 0;
  count_best_scratch best_{};
  sorted_rows sorted_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
