// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which entries of a cache stay while a model generates, by what decode attention let an online policy remember.
#pragma once
#include <cstddef>
#include <span>

#include <kvsieve/host/attend/fold_entries.hpp>
#include <kvsieve/host/evict/compact_observed.hpp>
#include <kvsieve/host/plan/chooser.hpp>
#include <kvsieve/host/run.hpp>
#include <kvsieve/online/checks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// One call of plan_observed.
template <online_strategy C, executor Exec>
class observed_planning {
  using first = typename C::aggregate_policy;
  using second = typename C::second_aggregate;
  using group = typename C::group_policy;
  using budget_policy = typename C::budget_policy;
  using select_policy = typename C::select_policy;
  using chooser_type = chooser<budget_policy, select_policy>;
  static constexpr bool two_scores = reads_unweighed<select_policy>;

 public:
  observed_planning(Exec const& on, cs::span<observed_state<first> const> states, cs::span<int const> entries,
                    int heads, typename C::params const& params)
      : on_(on), states_(states), entries_(entries), heads_(heads), params_(params) {}

  [[nodiscard]] std::size_t bytes() const {
    if (!check_all()) return 0;
    arena a;
    (void)a.take<float>(size());
    (void)a.take<float>(two_scores ? size() : 0);
    (void)carve(a);
    return a.used();
  }

  [[nodiscard]] token_plan run(std::span<std::byte> workspace) const {
    token_plan plan;
    if (plan.state = check_all(); !plan) return plan;
    if (plan.state = check::workspace(workspace, bytes()); !plan) return plan;
    arena a(workspace);
    float* const one = a.take<float>(size());
    float* const other = a.take<float>(two_scores ? size() : 0);
    auto const choose = carve(a);
    score_rows const rows = choose.place_scores(one), beside{other, rows.view_offset};
    on_.for_each(index{views()} * heads_, [&](index i, int) {
      index const v = i / heads_, h = i % heads_;
      results<first>(v, h, params_.aggregate, rows);
      if constexpr (two_scores) results<second>(v, h, params_.aggregate, beside);
    });
    if constexpr (C::heads_policy::joins)
      on_.for_each(views(), [&](index v, int) {
        int const n = entries_[static_cast<std::size_t>(v)];
        join_heads<typename C::heads_policy>(rows.row(v, 0, n), heads_, score_stride(n), n);
        if constexpr (two_scores) join_heads<typename C::heads_policy>(beside.row(v, 0, n), heads_, score_stride(n), n);
      });
    plan.uniformity_class = class_of<select_policy>(budget_policy::uniformity_class, C::heads_policy::joins);
    choose.count_tokens(on_, rows, {}, plan);
    choose.select(on_, rows, beside);
    return plan;
  }

 private:
  [[nodiscard]] int views() const { return static_cast<int>(states_.size()); }
  [[nodiscard]] std::size_t size() const {
    index n = 0;
    for (int const e : entries_) n += heads_ * score_stride(e);
    return static_cast<std::size_t>(n);
  }
  [[nodiscard]] auto carve(arena& a) const {
    selection_rules<budget_policy, select_policy> const rules{params_.budget, params_.select, shape()};
    return chooser_type::carve(
        a, rules, [&](index v) { return scored_view{entries_[static_cast<std::size_t>(v)], {}, {}}; }, on_.workers());
  }
  [[nodiscard]] call_shape shape() const { return {views(), heads_, 0}; }

  /// Scores of one KV head by accumulator A, which has the state of the first.
  template <class A>
  void results(index v, index h, typename A::params const& params, score_rows const& to) const {
    auto const& s = states_[static_cast<std::size_t>(v)];
    int const of_head = s.heads / heads_, n = entries_[static_cast<std::size_t>(v)];
    observed_state<A> const own{s.row(static_cast<int>(h) * of_head, 0), s.capacity, of_head, s.queries};
    float* const row = to.row(v, h, n);
    // Shapes were checked: it cannot fail.
    (void)observed_results<group>(own, params, params_.group, 1, n, {row, static_cast<cs::size_t>(score_stride(n))});
  }

  [[nodiscard]] status check_all() const {
    if (status const s = check::observed<C>(states_, entries_, heads_, params_); !s) return s;
    for (int v = 0; v < views(); ++v) {
      auto const i = static_cast<std::size_t>(v);
      if (status const s = check::no_counter(states_[i], v); !s) return s;
      if (status const s = check::selected_view(params_.select, entries_[i], v); !s) return s;
    }
    return {};
  }

  Exec const& on_;
  cs::span<observed_state<first> const> states_;
  cs::span<int const> entries_;
  int heads_;
  typename C::params const& params_;
};
}  // namespace host::inline KVSIEVE_TARGET

/// Bytes of workspace that plan_observed needs with the same arguments; aligned to 64 bytes. 0 when it would refuse
/// them.
template <online_strategy C, host::executor Exec>
[[nodiscard]] std::size_t plan_observed_workspace_bytes(
    Exec const& on, cs::span<observed_state<typename C::aggregate_policy> const> states, cs::span<int const> entries,
    int heads, typename C::params const& params) noexcept {
  return host::observed_planning<C, Exec>(on, states, entries, heads, params).bytes();
}
/// Decides which entries of a cache stay, by what attend_observed let the states remember. apply_observed() then moves
/// the rows and the states.
/// @param on         where to run
/// @param states     for each view, of at least one query; not changed
/// @param entries    for each view, of a head
/// @param heads      KV heads of every view
/// @param params     the policy's numbers
/// @param workspace  at least plan_observed_workspace_bytes<C>(...) bytes, aligned to 64; holds the plan afterwards
/// @returns the plan, or one whose `state` says what was wrong
template <online_strategy C, host::executor Exec>
[[nodiscard]] token_plan plan_observed(Exec const& on,
                                       cs::span<observed_state<typename C::aggregate_policy> const> states,
                                       cs::span<int const> entries, int heads, typename C::params const& params,
                                       std::span<std::byte> workspace) noexcept {
  return host::observed_planning<C, Exec>(on, states, entries, heads, params).run(workspace);
}
}  // namespace kvsieve::inline v0
