// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The two halves of plan() as calls of their own: score_tokens(), and choose_tokens() with any budget and selection
// over any scores. One scoring serves several choices, and scores from elsewhere can be chosen from.
#pragma once
#include <cstddef>
#include <span>

#include <kvsieve/core/scores.hpp>
#include <kvsieve/host/plan/planner.hpp>
#include <kvsieve/host/run.hpp>

namespace kvsieve::inline v0 {

namespace host::inline KVSIEVE_TARGET {

/// score_tokens() for all views of a call.
template <strategy C, executor Exec, class Layer, class Queries>
class scoring {
  static constexpr bool two_scores = reads_unweighed<typename C::select_policy>;

 public:
  scoring(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
          typename C::params const& params)
      : layers_(layers), scorer_(on, layers, queries, params) {}

  /// With `first` from 0 on, of a call with the queries from there on.
  [[nodiscard]] std::size_t bytes(int first = -1) const {
    if (!scorer_.check_all(first)) return 0;
    arena a;
    (void)carve(a);
    (void)scorer_.carve(a);
    return a.used();
  }
  [[nodiscard]] token_scores run(std::span<std::byte> workspace) const {
    token_scores s;
    if (s.state = scorer_.check_all(); !s) return s;
    if (s.state = check::workspace(workspace, bytes()); !s) return s;
    arena a(workspace);
    s = carve(a);
    auto const scratch = scorer_.carve(a);
    scorer_.run(scratch, {s.score, s.score_offset});
    add_rest(scratch, s);
    return s;
  }

  [[nodiscard]] std::size_t state_floats() const { return scorer_.check_all(0) ? scorer_.state_floats() : 0; }
  [[nodiscard]] token_scores run_part(query_part const& part, std::span<std::byte> workspace) const {
    token_scores s;
    if (part.first < 0) {
      s.state = fail(errc::bad_params, "part.first", part.first, "must be at least", 0);
      return s;
    }
    if (s.state = scorer_.check_all(part.first); !s) return s;
    if (part.state.size() < scorer_.state_floats())
      s.state = fail(errc::workspace_too_small, "part.state", static_cast<double>(part.state.size()),
                     "floats; it must be at least", static_cast<double>(scorer_.state_floats()));
    if (s.state = s ? check::workspace(workspace, bytes(part.first)) : s.state; !s) return s;
    arena a(workspace);
    token_scores placed = carve(a);
    auto const scratch = scorer_.carve(a);
    if (!scorer_.run_part(scratch, {placed.score, placed.score_offset}, part.state.data(), part.first)) return s;
    add_rest(scratch, placed);
    return placed;
  }

 private:
  /// What is beside the scores once they are there.
  template <class Scratch>
  void add_rest(Scratch const& scratch, token_scores& s) const {
    if constexpr (two_scores) scorer_.weigh_beside(scratch, {s.score, s.score_offset}, {s.weighed, s.score_offset});
    s.statistics = scorer_.measured(scratch);
  }
  [[nodiscard]] token_scores carve(arena& a) const {
    auto const views = layers_.size();
    token_scores s;
    s.shape = scorer_.shape();
    auto* const seen = a.take<scored_view>(views);
    auto* const offset = a.take<index>(views);
    index scores = 0;
    for (std::size_t v = 0; v < views; ++v) {
      if (seen != nullptr) {
        seen[v] = scorer_.seen(static_cast<index>(v));
        offset[v] = scores;
      }
      scores += s.shape.heads * score_stride(scorer_.seen(static_cast<index>(v)).tokens);
    }
    s.seen = seen;
    s.score_offset = offset;
    s.score = a.take<float>(static_cast<std::size_t>(scores));
    if constexpr (two_scores) s.weighed = a.take<float>(static_cast<std::size_t>(scores));
    return s;
  }

  cs::span<Layer const> layers_;
  scorer<C, Exec, Layer, Queries> scorer_;
};

/// choose_tokens() over given scores.
template <class Budget, class Select, executor Exec>
class choosing {
  static_assert(
      !requires { requires Select::rescores; },
      "kvsieve::choose_tokens takes scores as they are: a selection that scores anew needs kvsieve::plan");
  static_assert(!reads_links<Select>,
                "kvsieve::choose_tokens sees scores alone: kvsieve::select::runs reads keys and needs kvsieve::plan");
  static_assert(!Select::in_partitions || closed_budget<Budget>,
                "kvsieve::select::top_k_in_partitions needs a budget that reads no scores: kvsieve::budget::uniform");
  using rules_type = selection_rules<Budget, Select>;

 public:
  choosing(Exec const& on, token_scores const& scores, typename Budget::params const& budget,
           typename Select::params const& select)
      : on_(on), scores_(scores), rules_{budget, select, scores.shape} {}

  [[nodiscard]] std::size_t bytes() const {
    if (!check_all()) return 0;
    arena a;
    (void)a.take<float>(size());
    (void)carve(a);
    return a.used();
  }
  [[nodiscard]] token_plan run(std::span<std::byte> workspace) const {
    token_plan plan;
    if (plan.state = check_all(); !plan) return plan;
    if (plan.state = check::workspace(workspace, bytes()); !plan) return plan;
    arena a(workspace);
    float* const data = a.take<float>(size());
    auto const choose = carve(a);
    score_rows const rows = choose.place_scores(data);
    plan.uniformity_class = class_of<Select>(Budget::uniformity_class, false);
    index const heads = scores_.shape.heads;
    on_.for_each(scores_.shape.views * heads, [&](index i, int) {
      int const v = static_cast<int>(i / heads), h = static_cast<int>(i % heads);
      auto const from = scores_.scores(v, h);
      float* const to = rows.row(v, h, scores_.tokens(v));
      for (std::size_t t = 0; t < from.size(); ++t) to[t] = from[t];
    });
    choose.count_tokens(on_, rows, scores_.statistics, plan);
    choose.select(on_, rows, {scores_.weighed, scores_.score_offset});
    return plan;
  }

 private:
  [[nodiscard]] status check_all() const {
    if (!scores_) return scores_.state;
    if (scores_.shape.views < 1)
      return fail(errc::bad_shape, "scores.views", scores_.shape.views, "must be at least", 1);
    if (status const s = check::one_stage(rules_.budget, scores_.shape); !s) return s;
    if (status const s = check::one_stage(rules_.select, scores_.shape); !s) return s;
    if constexpr (requires { Budget::statistics; })
      if (scores_.statistics.each < Budget::statistics)
        return fail(errc::bad_params, "scores.statistics", scores_.statistics.each,
                    "numbers of a view; this budget reads", Budget::statistics);
    for (int v = 0; v < scores_.shape.views; ++v)
      if (status const s = check::selected_view(rules_.select, scores_.tokens(v), v); !s) return s;
    if constexpr (Select::in_partitions)
      for (int v = 0; v < scores_.shape.views; ++v)
        if (status const s = check::partitions(scores_.seen[v], v); !s) return s;
    if (reads_unweighed<Select> && scores_.weighed == nullptr)
      return fail(errc::bad_pointer, "scores.weighed", 0, "must not be null for a selection by two scores;", 0);
    return {};
  }
  [[nodiscard]] std::size_t size() const {
    index n = 0;
    for (int v = 0; v < scores_.shape.views; ++v) n += scores_.shape.heads * score_stride(scores_.tokens(v));
    return static_cast<std::size_t>(n);
  }
  [[nodiscard]] auto carve(arena& a) const {
    return chooser<Budget, Select>::carve(a, rules_, [&](index v) { return scores_.seen[v]; }, on_.workers());
  }

  Exec const& on_;
  token_scores const& scores_;
  rules_type rules_;
};
}  // namespace host::inline KVSIEVE_TARGET

/// Bytes of workspace that score_tokens<C> needs with the same arguments; aligned to 64 bytes. 0 when it would refuse
/// them.
template <strategy C, host::executor Exec, kv_layer_view Layer, row_view Queries>
[[nodiscard]] std::size_t score_tokens_workspace_bytes(Exec const& on, cs::span<Layer const> layers,
                                                       cs::span<Queries const> queries,
                                                       typename C::params const& params) noexcept {
  detail::needs_no_queries<C>();
  return host::scoring<C, Exec, Layer, Queries>(on, layers, queries, params).bytes();
}
template <strategy C, host::executor Exec, kv_layer_view Layer>
[[nodiscard]] std::size_t score_tokens_workspace_bytes(Exec const& on, cs::span<Layer const> layers,
                                                       typename C::params const& params) noexcept {
  detail::needs_queries<C>();
  return host::scoring<C, Exec, Layer, host::no_queries>(on, layers, {}, params).bytes();
}

/// The first half of plan<C>: scores every token. Arguments as in plan(); budget and select are not looked at but for
/// the ranges of their numbers, and for what the budget keeps where kvsieve::protect::mass reads it.
/// @returns the scores, or none and a `state` that says what was wrong
template <strategy C, host::executor Exec, kv_layer_view Layer, row_view Queries>
[[nodiscard]] token_scores score_tokens(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
                                        typename C::params const& params, std::span<std::byte> workspace) noexcept {
  detail::needs_no_queries<C>();
  return host::scoring<C, Exec, Layer, Queries>(on, layers, queries, params).run(workspace);
}
template <strategy C, host::executor Exec, kv_layer_view Layer>
[[nodiscard]] token_scores score_tokens(Exec const& on, cs::span<Layer const> layers, typename C::params const& params,
                                        std::span<std::byte> workspace) noexcept {
  detail::needs_queries<C>();
  return host::scoring<C, Exec, Layer, host::no_queries>(on, layers, {}, params).run(workspace);
}

/// Floats of state that score_tokens<C> folds into when the queries come in parts; the same for all of them. 0 for
/// arguments that it would refuse.
template <strategy C, host::executor Exec, kv_layer_view Layer, row_view Queries>
  requires(C::folds_queries)
[[nodiscard]] std::size_t score_tokens_state_floats(Exec const& on, cs::span<Layer const> layers,
                                                    cs::span<Queries const> queries,
                                                    typename C::params const& params) noexcept {
  return host::scoring<C, Exec, Layer, Queries>(on, layers, queries, params).state_floats();
}
/// Bytes of workspace that score_tokens<C> needs for a part of the queries. 0 when it would refuse the arguments.
template <strategy C, host::executor Exec, kv_layer_view Layer, row_view Queries>
  requires(C::folds_queries)
[[nodiscard]] std::size_t score_tokens_part_workspace_bytes(Exec const& on, cs::span<Layer const> layers,
                                                            cs::span<Queries const> queries,
                                                            typename C::params const& params) noexcept {
  return host::scoring<C, Exec, Layer, Queries>(on, layers, queries, params).bytes(0);
}
/// score_tokens<C> with a part of the observed queries, in their order: `params` describe all of them, `queries` are
/// those from part.first on, as many of each view. Call after call they are folded into part.state, as if they had come
/// at once; the call that brings the last ones returns the scores, the others none (`score` is null). Parts of
/// multiples of 64 queries give the same bits as a single call, others differ by rounding where sums are formed. The
/// cache may not change in between, but for the queries' own keys behind it.
/// @returns the scores or none, or a `state` that says what was wrong; part.state is then as it was
template <strategy C, host::executor Exec, kv_layer_view Layer, row_view Queries>
  requires(C::folds_queries)
[[nodiscard]] token_scores score_tokens(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
                                        typename C::params const& params, query_part const& part,
                                        std::span<std::byte> workspace) noexcept {
  return host::scoring<C, Exec, Layer, Queries>(on, layers, queries, params).run_part(part, workspace);
}

/// Bytes of workspace that choose needs with the same arguments; aligned to 64 bytes. 0 when it would refuse them.
template <policy_of<stages::budget> Budget, policy_of<stages::select> Select, host::executor Exec>
[[nodiscard]] std::size_t choose_tokens_workspace_bytes(Exec const& on, token_scores const& scores,
                                                        typename Budget::params const& budget,
                                                        typename Select::params const& select) noexcept {
  return host::choosing<Budget, Select, Exec>(on, scores, budget, select).bytes();
}

/// The second half of plan: spends a budget on given scores, which are not changed.
/// @returns the plan, or one whose `state` says what was wrong
template <policy_of<stages::budget> Budget, policy_of<stages::select> Select, host::executor Exec>
[[nodiscard]] token_plan choose_tokens(Exec const& on, token_scores const& scores,
                                       typename Budget::params const& budget, typename Select::params const& select,
                                       std::span<std::byte> workspace) noexcept {
  return host::choosing<Budget, Select, Exec>(on, scores, budget, select).run(workspace);
}
}  // namespace kvsieve::inline v0
