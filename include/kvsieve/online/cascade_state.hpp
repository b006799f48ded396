// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What a cascade knows of the layers that have come, on every backend: their scores, where these lie, and what it
// refuses.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/core/scores.hpp>

namespace kvsieve::inline v0 {

/// One sequence whose layers arrive one after another; the part of it that no backend differs in.
template <policy_of<stages::budget> Budget, policy_of<stages::select> Select>
class cascade_state {
  static_assert(
      requires(typename Budget::params p) {
        p.layers = 1, p.prompt = 1;
        Budget::held(p, 1);
      },
      "kvsieve: a cascade needs a budget for layers that arrive one by one: kvsieve::budget::entropy_variance or "
      "kvsieve::budget::layer_scores");
  static_assert(Budget::uniformity_class <= uniformity::U2,
                "kvsieve: a cascade needs a budget that gives the heads of a layer the same");
  static_assert(!recounting<Select> && !counts_float<Select> && !reads_unweighed<Select> && !Select::in_partitions,
                "kvsieve: a cascade needs a selection of as many tokens as the budget allots, by one score: "
                "kvsieve::select::top_k or kvsieve::select::heavy_hitters");

 protected:
  /// Numbers of a layer that the budget reads beside the scores.
  static constexpr int statistics = [] {
    if constexpr (requires { Budget::statistics; }) return Budget::statistics;
    return 0;
  }();

 public:
  using budget_params = typename Budget::params;  ///< `layers` of the model has to be given; `prompt` is filled in
  using select_params = typename Select::params;  ///< no white list

  /// Ok, or why it takes no layers.
  [[nodiscard]] status state() const noexcept { return state_; }
  /// Layers that have come.
  [[nodiscard]] int layers() const noexcept { return known_; }
  /// Tokens that a layer still has in each head.
  [[nodiscard]] int tokens(int layer) const noexcept { return seen_[layer].tokens; }
  /// Most tokens a head that all layers hold together between two calls of add(), where the forced tokens of a layer
  /// are within its budget. Where they are not they stay all the same, as long as the state has room for them.
  [[nodiscard]] index most_held() const noexcept { return Budget::held(budget_, budget_.prompt); }

 protected:
  /// Of a model whose layers have so many KV heads, for a prompt of so many tokens.
  cascade_state(budget_params const& budget, select_params const& select, int heads, int tokens) noexcept
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

  /// What the host reads: views, and where their scores lie.
  void carve_lists(arena& a) {
    auto const n = [](index count) { return static_cast<std::size_t>(count); };
    seen_ = a.take<scored_view>(n(budget_.layers));
    offset_ = a.take<index>(n(budget_.layers + 1));
    if (offset_ != nullptr) offset_[0] = 0;
  }
  /// Scores, and numbers of views.
  void carve_numbers(arena& a) {
    auto const n = [](index count) { return static_cast<std::size_t>(count); };
    measured_ = a.take<double>(n(index{budget_.layers} * statistics));
    store_ = a.take<float>(n(heads_ * room()));
  }

  /// Ok, or why these scores are not those of the next layer.
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

  /// Ok where there is room for what a plan of all layers keeps: forced tokens beyond the budget may be more than the
  /// state was made for.
  [[nodiscard]] status check_room(token_plan const& plan) const {
    index rows = plan.views < budget_.layers ? score_stride(budget_.prompt) : 0;  // one more is to come
    for (int v = 0; v < plan.views; ++v) rows += score_stride(plan.count(v));
    if (rows <= room()) return {};
    return fail(errc::bad_params, "forced tokens, of all layers", static_cast<double>(rows),
                "floats a head; beyond their budget there is room for", static_cast<double>(room()));
  }
  /// Floats of a head: what is held, the layer that arrives, and the padding of their rows.
  [[nodiscard]] index room() const { return most_held() + score_stride(budget_.prompt) + 15 * index{budget_.layers}; }

  /// The scores that are held, and the next layer's behind them.
  [[nodiscard]] token_scores with_next() const {
    token_scores all;
    all.shape = {known_ + 1, heads_, 0};
    all.seen = seen_;
    all.score = store_;
    all.score_offset = offset_;
    all.statistics = {measured_, statistics};
    return all;
  }

  budget_params budget_;         ///< its numbers
  select_params select_;         ///< those of the selection
  status state_;                 ///< Ok, or why it takes no layers
  int heads_;                    ///< KV heads of a layer
  int known_ = 0;                ///< layers that have come
  scored_view* seen_ = nullptr;  ///< [layers]
  index* offset_ = nullptr;      ///< [layers + 1]: where a layer's scores begin
  double* measured_ = nullptr;   ///< [layers, statistics]
  float* store_ = nullptr;       ///< a row for each head of each layer, one behind another
};
}  // namespace kvsieve::inline v0
