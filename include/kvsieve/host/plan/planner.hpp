// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A plan on the host: scores, then a choice among them, for all views of a call.
#pragma once
#include <kvsieve/host/plan/chooser.hpp>
#include <kvsieve/host/score/scorer.hpp>
#include <kvsieve/host/select/block_wise.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <strategy C, executor Exec, class Layer, class Queries>
class planner {
  using score = typename C::score_policy;
  using select = typename C::select_policy;
  using rules_type = selection_rules<typename C::budget_policy, select>;
  using chooser_type = chooser<typename C::budget_policy, select>;
  static constexpr bool links = reads_links<select>, two_scores = reads_unweighed<select> || links;
  static constexpr bool rescores = requires { requires select::rescores; };

  /// What a selection that scores anew needs beside the chooser's.
  struct anew {
    int *picked, *best;  ///< a row a worker, like `rescored`
    float* rescored;
  };

 public:
  planner(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
          typename C::params const& params)
      : on_(on), layers_(layers), params_(params), scorer_(on, layers, queries, params) {}

  /// Bytes that run() needs; 0 for arguments that it refuses.
  [[nodiscard]] std::size_t bytes() const { return check_all() ? count_bytes() : 0; }

  [[nodiscard]] token_plan run(std::span<std::byte> workspace) const {
    token_plan plan;
    if (plan.state = check_all(); !plan) return plan;
    if (plan.state = check::workspace(workspace, count_bytes()); !plan) return plan;
    arena a(workspace);
    float* const data = a.take<float>(scores());
    float* const second = a.take<float>(two_scores ? scores() : 0);
    auto const choose = carve_chooser(a);
    score_rows const rows = choose.place_scores(data);
    plan.uniformity_class = C::uniformity_class;
    if constexpr (rescores) {
      anew const m = carve_anew(a);
      choose.count_tokens(on_, rows, {}, plan);
      select_anew(choose, m, rows);
    } else {
      auto const scratch = scorer_.carve(a);
      scorer_.run(scratch, rows);
      choose.count_tokens(on_, rows, scorer_.measured(scratch), plan);
      if constexpr (two_scores) {
        score_rows const weighed{second, rows.view_offset};
        if constexpr (links)
          link_neighbours(on_, layers_, choose.seen(), weighed);
        else
          scorer_.weigh_beside(scratch, rows, weighed);
        choose.select(on_, rows, weighed);
      } else {
        choose.select(on_, rows);
      }
    }
    return plan;
  }

 private:
  [[nodiscard]] std::size_t count_bytes() const {
    arena a;
    (void)a.take<float>(scores());
    (void)a.take<float>(two_scores ? scores() : 0);
    (void)carve_chooser(a);
    if constexpr (rescores)
      (void)carve_anew(a);
    else
      (void)scorer_.carve(a);
    return a.used();
  }
  [[nodiscard]] status check_all() const {
    if (status const s = scorer_.check_all(); !s) return s;
    for (std::size_t v = 0; v < layers_.size(); ++v)
      if (status const s =
              check::selected_view(params_.select, scorer_.seen(static_cast<index>(v)).tokens, static_cast<int>(v));
          !s)
        return s;
    return {};
  }
  [[nodiscard]] std::size_t scores() const {
    index n = 0;
    for (std::size_t v = 0; v < layers_.size(); ++v)
      n += layers_[v].heads() * score_stride(scorer_.seen(static_cast<index>(v)).tokens);
    return static_cast<std::size_t>(n);
  }
  [[nodiscard]] chooser_type carve_chooser(arena& a) const {
    return chooser_type::carve(
        a, rules_type{params_.budget, params_.select, scorer_.shape()}, [&](index v) { return scorer_.seen(v); },
        on_.workers());
  }

  [[nodiscard]] index room() const {
    index longest = 0;
    for (auto const& l : layers_) longest = longest < l.tokens() ? l.tokens() : longest;
    return round_up<index>(longest, 16) + 16;
  }
  [[nodiscard]] anew carve_anew(arena& a) const {
    auto const n = static_cast<std::size_t>(room() * on_.workers());
    int* const picked = a.take<int>(n);
    int* const best = a.take<int>(n);
    return {picked, best, a.take<float>(n)};
  }
  void select_anew(chooser_type const& choose, anew const& m, score_rows const& rows) const {
    index const heads = scorer_.shape().heads;
    on_.for_each(scorer_.shape().views * heads, [&](index i, int worker) {
      Layer const& l = layers_[static_cast<std::size_t>(i / heads)];
      index const at = room() * worker;
      block_wise_scratch const s{m.picked + at, m.best + at, m.rescored + at, choose.scratch(worker)};
      select_block_wise<score>(l.keys, i % heads, choose.count(i), params_.select.block,
                               rows.row(i / heads, i % heads, l.tokens()), choose.list(i), s);
    });
  }

  Exec const& on_;
  cs::span<Layer const> layers_;
  typename C::params const& params_;
  scorer<C, Exec, Layer, Queries> scorer_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
