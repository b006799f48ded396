// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compression while the layers of a prompt arrive: with each layer the budgets of those before it shrink, so that the
// cache never holds much more than its budget and the layer that is being computed (CAKE, ICLR 2025; DynamicKV,
// arXiv 2412.14838).
#pragma once
#include <kvsieve/host/score_tokens.hpp>
#include <kvsieve/online/cascade_state.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// One sequence whose layers arrive one after another. It holds the scores of the tokens that the layers still have;
/// keys and values stay with the caller, who after each add() applies the plan to the layers that have come so far.
///
///     host::cascade<budget::entropy_variance> c({.keep = 0.25, .layers = 32}, {}, 8, N, state);
///     for (each layer) {
///       auto const scores = score_tokens<cake<>>(on, layer, queries, params, memory);
///       auto const plan = c.add(on, scores, workspace);    // views 0 ... this one, as they lie there now
///       apply<cake<>>(on, plan, views);                    // then each view has plan.count(view) rows
///     }
///
/// `Budget` counts for the first layers of a sequence (class U2 or below), and says by `held` how much they hold;
/// `Select` keeps as many tokens as the budget allots, which the state is sized by.
/// Trivially copyable; the state is the caller's memory. White lists are not taken, as rows move.
template <policy_of<stages::budget> Budget, policy_of<stages::select> Select = select::top_k>
class cascade : public cascade_state<Budget, Select> {
  using base = cascade_state<Budget, Select>;
  using base::budget_, base::heads_, base::known_, base::measured_, base::offset_, base::seen_, base::select_,
      base::state_, base::statistics, base::store_;

 public:
  using typename base::budget_params;  ///< `layers` of the model has to be given; `prompt` is filled in
  using typename base::select_params;  ///< no white list

  /// Bytes of state for layers of `heads` KV heads and `tokens` tokens, aligned to 64 bytes; 0 when it would be
  /// refused.
  [[nodiscard]] static std::size_t state_bytes(budget_params const& budget, select_params const& select, int heads,
                                               int tokens) noexcept {
    cascade c(budget, select, heads, tokens);
    if (!c.state_) return 0;
    arena a;
    c.carve(a);
    return a.used();
  }

  /// A sequence of which no layer has come. What is wrong is in state().
  cascade(budget_params const& budget, select_params const& select, int heads, int tokens,
          std::span<std::byte> memory) noexcept
      : cascade(budget, select, heads, tokens) {
    if (state_) state_ = check::workspace(memory, state_bytes(budget, select, heads, tokens));
    if (!state_) return;
    arena a(memory);
    carve(a);
  }

  /// Bytes of workspace that the next add() needs; 0 when it would be refused.
  template <executor Exec>
  [[nodiscard]] std::size_t workspace_bytes(Exec const& on) const noexcept {
    if (!state_ || known_ >= budget_.layers) return 0;
    seen_[known_] = {budget_.prompt, {}, {}};
    token_scores const all = this->with_next();
    return choosing<Budget, Select, Exec>(on, all, budget_, select_).bytes();
  }

  /// The next layer has come: `layer` are its scores, one view. Returns a plan over all layers so far, the next one
  /// last, whose indices are rows as they lie there now. Where it failed nothing has changed.
  template <executor Exec>
  [[nodiscard]] token_plan add(Exec const& on, token_scores const& layer, std::span<std::byte> workspace) noexcept {
    token_plan plan;
    if (plan.state = this->check_layer(layer); !plan) return plan;
    int const v = known_;
    seen_[v] = layer.seen[0];
    for (int k = 0; k < statistics; ++k) measured_[v * statistics + k] = layer.statistics.of(0, k);
    for (int h = 0; h < heads_; ++h) {
      auto const from = layer.scores(0, h);
      float* const to = store_ + offset_[v] + h * score_stride(budget_.prompt);
      for (std::size_t t = 0; t < from.size(); ++t) to[t] = from[t];
    }
    token_scores const all = this->with_next();
    plan = choosing<Budget, Select, Exec>(on, all, budget_, select_).run(workspace);
    if (!plan) return plan;
    if (plan.state = this->check_room(plan); !plan) return plan;
    ++known_;
    shrink(plan);
    return plan;
  }

 private:
  cascade(budget_params const& budget, select_params const& select, int heads, int tokens) noexcept
      : base(budget, select, heads, tokens) {}

  void carve(arena& a) {
    this->carve_lists(a);
    this->carve_numbers(a);
  }

  // Rows move towards the front only, so one pass in ascending order suffices.
  void shrink(token_plan const& plan) {
    for (int v = 0; v < known_; ++v) {
      index const from = plan.score_offset[v], old = score_stride(seen_[v].tokens), now = score_stride(plan.count(v));
      for (int h = 0; h < heads_; ++h) {
        auto const kept = plan.kept(v, h);
        float *const row = store_ + from + h * old, *const to = store_ + offset_[v] + h * now;
        for (std::size_t i = 0; i < kept.size(); ++i) to[i] = row[kept[i]];
      }
      seen_[v].tokens = plan.count(v);
      offset_[v + 1] = offset_[v] + heads_ * now;
    }
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
