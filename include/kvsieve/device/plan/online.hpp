// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Eviction while a model generates, as launches: scores of what was remembered, a choice among them, and the states
// moved with their rows.
#pragma once
#include <kvsieve/device/evict/compactor.hpp>
#include <kvsieve/device/plan/observed.hpp>
#include <kvsieve/device/plan/scoring.hpp>
#include <kvsieve/online/checks.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One call of plan_observed.
template <online_strategy C, class Launcher>
class observed_planning {
  using first = typename C::aggregate_policy;
  using second = typename C::second_aggregate;
  using group = typename C::group_policy;
  using chosen = chosen_by<typename C::budget_policy, typename C::select_policy>;
  using plan_type = planner<chosen, Launcher, scored_layer, no_queries>;
  static constexpr bool two_scores = reads_unweighed<typename C::select_policy>;

 public:
  observed_planning(Launcher const& on, cs::span<observed_state<first> const> states, cs::span<int const> entries,
                    int heads, typename C::params const& params)
      : on_(on), states_(states), entries_(entries), heads_(heads), params_(params) {
    chosen_.budget = params.budget;
    chosen_.select = params.select;
  }

  [[nodiscard]] workspace_size bytes() const {
    if (!check()) return {};
    arena device, host;
    token_scores const scores = carve(device, host);
    workspace_size const rest = plan_type(on_, scored_layers(scores, entries_.data()), {}, chosen_).bytes();
    return {round_up<std::size_t>(device.used(), 64) + rest.device, round_up<std::size_t>(host.used(), 64) + rest.host};
  }

  [[nodiscard]] token_plan run(workspace const& w) const {
    token_plan plan;
    if (plan.state = check(); !plan) return plan;
    if (plan.state = fits(w, bytes()); !plan) return plan;
    if (plan.state = within_reach(on_, w.device.data(), "workspace.device"); !plan) return plan;
    for (int v = 0; plan && v < views(); ++v) {
      plan.state = within_reach(on_, state(v).data, "state", v);
      if (plan) plan.state = within_reach(on_, state(v).counter, "state.counter", v);
    }
    if (!plan) return plan;
    arena device(w.device), host(w.host);
    token_scores const scores = carve(device, host);
    if (plan.state = score<first>(scores, scores.score); !plan) return plan;
    if constexpr (two_scores)
      if (plan.state = score<second>(scores, scores.weighed); !plan) return plan;
    plan = plan_type(on_, scored_layers(scores, entries_.data()), {}, chosen_)
               .run({w.device.subspan(round_up<std::size_t>(device.used(), 64)),
                     w.host.subspan(round_up<std::size_t>(host.used(), 64))});
    plan.uniformity_class =
        class_of<typename C::select_policy>(C::budget_policy::uniformity_class, C::heads_policy::joins);
    return plan;
  }

 private:
  [[nodiscard]] int views() const { return static_cast<int>(states_.size()); }
  [[nodiscard]] observed_state<first> const& state(int v) const { return states_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] int entries(int v) const { return entries_[static_cast<std::size_t>(v)]; }

  [[nodiscard]] status check() const {
    if (status const s = check::observed<C>(states_, entries_, heads_, params_); !s) return s;
    if (heads_ > most_blocks_across)
      return fail(errc::bad_shape, "heads", heads_, "must be, on the device, at most", most_blocks_across);
    return {};
  }
  [[nodiscard]] token_scores carve(arena& device, arena& host) const {
    token_scores s;
    s.shape = {views(), heads_, 0, 0};
    auto* const offset = host.take<index>(states_.size());
    index floats = 0;
    for (int v = 0; v < views(); ++v) {
      if (offset != nullptr) offset[v] = floats;
      floats += heads_ * score_stride(entries(v));
    }
    s.score_offset = offset;
    s.score = device.take<float>(static_cast<std::size_t>(floats));
    if constexpr (two_scores) s.weighed = device.take<float>(static_cast<std::size_t>(floats));
    return s;
  }

  /// Scores of all views by accumulator A, which has the state of the first.
  template <class A>
  [[nodiscard]] status score(token_scores const& scores, float* to) const {
    observed_scores_args<group, A> args{{}, params_.aggregate, params_.group};
    status s = launch_views<observed_scores_body<group, A>>(
        on_, views(), heads_, 1, args, [&](int v, observed_scores_part<A>& part) {
          auto const& own = state(v);
          part = {{own.data, own.capacity, own.heads, own.queries, own.counter},
                  to + scores.score_offset[v],
                  heads_,
                  entries(v)};
          return pieces(entries(v), fold_entries_of_block);
        });
    if constexpr (C::heads_policy::joins) {
      scores_args<join_heads_params> joined{};
      if (s)
        s = launch_views<join_heads_body<typename C::heads_policy>>(on_, views(), 1, 1, joined,
                                                                    [&](int v, scores_part& part) {
                                                                      part = {to + scores.score_offset[v],
                                                                              to + scores.score_offset[v],
                                                                              score_stride(entries(v)),
                                                                              entries(v),
                                                                              heads_,
                                                                              0,
                                                                              entries(v),
                                                                              v * heads_};
                                                                      return pieces(entries(v), segment_scores);
                                                                    });
    }
    return s;
  }

  Launcher const& on_;
  cs::span<observed_state<first> const> states_;
  cs::span<int const> entries_;
  int heads_;
  typename C::params const& params_;
  typename chosen::params chosen_{};
};

/// One view of a launch that moves states.
template <accumulator A>
struct moved_state {
  observed_state<A> state;
  kept_lists kept;
  int heads, tokens;  ///< KV heads of the plan, and what they had
};
template <accumulator A>
struct compact_observed_args {
  batch<moved_state<A>> views;
  typename A::params params;
};
/// Block (row of the state, head of the state, view): column i becomes column kept[i]; those behind are such as no
/// query has seen. No column moves backwards.
template <accumulator A>
struct compact_observed_body {
  static constexpr int in_flight = 8;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, compact_observed_args<A> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    if (w.y >= view.state.heads) return;
    int const head = w.y / (view.state.heads / view.heads);
    int const* const list = view.kept.of(head);
    int const count = view.kept.count(head);
    float* const row = view.state.row(w.y, w.x);
    for (index chunk = 0; chunk < count; chunk += Block::threads * in_flight) {
      float held[in_flight];
      KVSIEVE_UNROLL for (int j = 0; j < in_flight; ++j) {
        index const e = chunk + b.rank() + j * Block::threads;
        held[j] = e < count ? row[list[e]] : 0.0f;
      }
      b.sync();
      KVSIEVE_UNROLL for (int j = 0; j < in_flight; ++j) {
        index const e = chunk + b.rank() + j * Block::threads;
        if (e < count) row[e] = held[j];
      }
    }
    float fresh[A::states] = {};
    if constexpr (!A::linear) A::init(a.params, fresh);
    float number = 0.0f;
    KVSIEVE_UNROLL for (int k = 0; k < A::states; ++k) number = k == w.x ? fresh[k] : number;
    for (int e = count + b.rank(); e < view.tokens; e += Block::threads) row[e] = number;
  }
};

/// Moves the states of all views as apply in place moves their rows.
template <class Launcher, accumulator A>
[[nodiscard]] status move_observed(Launcher const& on, token_plan const& plan, cs::span<observed_state<A> const> states,
                                   typename A::params const& params) {
  if (status const s = check::observed_of_plan(plan, states); !s) return s;
  status s = within_reach(on, plan.list, "plan.list");
  int most = 0;
  for (int v = 0; s && v < plan.views; ++v) {
    auto const& own = states[static_cast<std::size_t>(v)];
    s = within_reach(on, own.data, "state", v);
    most = most < own.heads ? own.heads : most;
  }
  if (!s) return s;
  compact_observed_args<A> args{{}, params};
  return launch_views<compact_observed_body<A>>(on, plan.views, most, 1, args, [&](int v, moved_state<A>& part) {
    part = {states[static_cast<std::size_t>(v)], lists_of(plan, v), plan.heads, plan.tokens(v)};
    return observed_state<A>::rows;
  });
}
/// The same, behind the rows.
template <class Launcher, class Layer, accumulator A>
[[nodiscard]] status move_kept_and_observed(Launcher const& on, token_plan const& plan, cs::span<Layer const> layers,
                                            cs::span<observed_state<A> const> states,
                                            typename A::params const& params) {
  if (status const s = check::observed_of_plan(plan, states); !s) return s;
  if (status const s = move_kept<compressor<given_scores>>(on, plan, layers); !s) return s;
  return move_observed(on, plan, states, params);
}
}  // namespace device
}  // namespace kvsieve::inline v0
