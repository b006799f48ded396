// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Compression while the layers of a prompt arrive: with each layer the budgets of those before it shrink, so that the
// cache never holds much more than its budget and the layer that is being computed (CAKE, ICLR 2025; DynamicKV,
// arXiv 2412.14838).
#pragma once
#include <kvsieve/host/score_tokens.hpp>

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
class cascade {
  static_assert(
      requires(typename Budget::params p) {
        p.layers = 1, p.prompt = 1;
        Budget::held(p, 1);
      },
      "kvsieve::host::cascade needs a budget for layers that arrive one by one: kvsieve::budget::entropy_variance or "
      "kvsieve::budget::layer_scores");
  static_assert(Budget::uniformity_class <= uniformity::U2,
                "kvsieve::host::cascade needs a budget that gives the heads of a layer the same");
  static_assert(!recounting<Select> && !counts_float<Select> && !reads_unweighed<Select> && !Select::in_partitions,
                "kvsieve::host::cascade needs a selection of as many tokens as the budget allots, by one score: "
                "kvsieve::select::top_k or kvsieve::select::heavy_hitters");
  static constexpr int statistics = [] {
    if constexpr (requires { Budget::statistics; }) return Budget::statistics;
    return 0;
  }();

 public:
  using budget_params = typename Budget::params;  ///< `layers` of the model has to be given; `prompt` is filled in
  using select_params = typename Select::params;  ///< no white list

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

  /// Ok, or why it takes no layers.
  [[nodiscard]] status state() const noexcept { return state_; }
  /// Layers that have come.
  [[nodiscard]] int layers() const noexcept { return known_; }
  /// Tokens that a layer still has in each head.
  [[nodiscard]] int tokens(int layer) const noexcept { return seen_[layer].tokens; }
  /// Most tokens a head that all layers hold together between two calls of add(), where the forced tokens of a layer
  /// are within its budget. Where they are not they stay all the same, as long as the state has room for them.
  [[nodiscard]] index most_held() const noexcept { return Budget::held(budget_, budget_.prompt); }

  /// Bytes of workspace that the next add() needs; 0 when it would be refused.
  template <executor Exec>
  [[nodiscard]] std::size_t workspace_bytes(Exec const& on) const noexcept {
    if (!state_ || known_ >= budget_.layers) return 0;
    seen_[known_] = {budget_.prompt, {}, {}};
    token_scores const all = with_next();
    return choosing<Budget, Select, Exec>(on, all, budget_, select_).bytes();
  }

  /// The next layer has come: `layer` are its scores, one view. Returns a plan over all layers so far, the next one
  /// last, whose indices are rows as they lie there now. Where it failed nothing has changed.
  template <executor Exec>
  [[nodiscard]] token_plan add(Exec const& on, token_scores const& layer, std::span<std::byte> workspace) noexcept {
    token_plan plan;
    if (plan.state = check_layer(layer); !plan) return plan;
    int const v = known_;
    seen_[v] = layer.seen[0];
    for (int k = 0; k < statistics; ++k) measured_[v * statistics + k] = layer.statistics.of(0, k);
    for (int h = 0; h < heads_; ++h) {
      auto const from = layer.scores(0, h);
      float* const to = store_ + offset_[v] + h * score_stride(budget_.prompt);
      for (std::size_t t = 0; t < from.size(); ++t) to[t] = from[t];
    }
    token_scores const all = with_next();
    plan = choosing<Budget, Select, Exec>(on, all, budget_, select_).run(workspace);
    if (!plan) return plan;
    if (plan.state = check_room(plan); !plan) return plan;
    ++known_;
    shrink(plan);
    return plan;
  }

 private:
  cascade(budget_params const& budget, select_params const& select, int heads, int tokens) noexcept
      : budget_(budget), select_(select), heads_(heads) {
    budget_.prompt = tokens;
    state_ = range::all(
        range::within("heads", heads, 1, check::most_heads), range::within("tokens", tokens, 1, most_tokens),
        range::within("budget.layers", budget.layers, 1, 1 << 20), check::one_stage(budget_, call_shape{1, heads, 0}),
        check::one_stage(select_, call_shape{1, heads, 0}));
    if constexpr (requires { select.white_list; })
      if (state_ && !select.white_list.empty())
        state_ = fail(errc::bad_params, "select.white_list", static_cast<double>(select.white_list.size()),
                      "entries; in a cascade it must have", 0);
  }

  void carve(arena& a) {
    auto const n = [](index count) { return static_cast<std::size_t>(count); };
    seen_ = a.take<scored_view>(n(budget_.layers));
    offset_ = a.take<index>(n(budget_.layers + 1));
    measured_ = a.take<double>(n(index{budget_.layers} * statistics));
    store_ = a.take<float>(n(heads_ * room()));
    if (offset_ != nullptr) offset_[0] = 0;
  }

  [[nodiscard]] status check_layer(token_scores const& layer) const {
    if (!state_) return state_;
    if (!layer) return layer.state;
    if (layer.shape.views != 1) return fail(errc::bad_shape, "scores.views", layer.shape.views, "must be", 1);
    if (layer.shape.heads != heads_)
      return fail(errc::bad_shape, "scores.heads", layer.shape.heads, "must equal that of the cascade,", heads_);
    if (layer.tokens() != budget_.prompt)
      return fail(errc::bad_shape, "scores.tokens", layer.tokens(), "must equal that of the cascade,", budget_.prompt);
    if (layer.statistics.each < statistics)
      return fail(errc::bad_params, "scores.statistics", layer.statistics.each, "numbers of a view; this budget reads",
                  statistics);
    if (known_ >= budget_.layers)
      return fail(errc::bad_shape, "layers", known_ + 1, "must be at most budget.layers,", budget_.layers);
    return {};
  }

  // Forced tokens beyond the budget may be more than the state was made for.
  [[nodiscard]] status check_room(token_plan const& plan) const {
    index rows = plan.views < budget_.layers ? score_stride(budget_.prompt) : 0;  // one more is to come
    for (int v = 0; v < plan.views; ++v) rows += score_stride(plan.count(v));
    if (rows <= room()) return {};
    return fail(errc::bad_params, "forced tokens, of all layers", static_cast<double>(rows),
                "floats a head; beyond their budget there is room for", static_cast<double>(room()));
  }
  // Floats of a head: what is held, the layer that arrives, and the padding of their rows.
  [[nodiscard]] index room() const { return most_held() + score_stride(budget_.prompt) + 15 * index{budget_.layers}; }

  // The scores that are held, and the next layer's behind them.
  [[nodiscard]] token_scores with_next() const {
    token_scores all;
    all.shape = {known_ + 1, heads_, 0};
    all.seen = seen_;
    all.score = store_;
    all.score_offset = offset_;
    all.statistics = {measured_, statistics};
    return all;
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

  budget_params budget_;
  select_params select_;
  status state_;
  int heads_, known_ = 0;
  scored_view* seen_ = nullptr;  ///< [layers]
  index* offset_ = nullptr;      ///< [layers + 1]: where a layer's scores begin
  double* measured_ = nullptr;   ///< [layers, statistics]
  float* store_ = nullptr;       ///< a row for each head of each layer, one behind another
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
