// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The first half of a plan on the host: a row of scores for every view and KV head, as selection will see it.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/host/score/project_values.hpp>
#include <kvsieve/host/score/protect_mass.hpp>
#include <kvsieve/host/score/score_cap_kv.hpp>
#include <kvsieve/host/score/score_expected_attention.hpp>
#include <kvsieve/host/score/score_leverage.hpp>
#include <kvsieve/host/score/score_non_causal_attention.hpp>
#include <kvsieve/host/score/score_page_bound.hpp>
#include <kvsieve/host/score/score_per_chunk.hpp>
#include <kvsieve/host/score/score_per_head.hpp>
#include <kvsieve/host/score/score_per_hidden.hpp>
#include <kvsieve/host/score/score_per_pair.hpp>
#include <kvsieve/host/score/score_per_query.hpp>
#include <kvsieve/host/score/score_per_row.hpp>
#include <kvsieve/host/score/shape_scores.hpp>
#include <kvsieve/host/score/weigh_rows.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Stands where a strategy reads no queries.
struct no_queries {};

template <strategy C, executor Exec, class Layer, class Queries>
class scorer {
  using score = typename C::score_policy;
  using aggregate = typename C::aggregate_policy;
  using lift = typename C::lift_policy;
  using weigh = typename C::weigh_policy;
  using smooth = typename C::smooth_policy;
  using scale = typename C::scale_policy;
  using protect = typename C::protect_policy;
  using heads_policy = typename C::heads_policy;
  using by_query = score_per_query<score, aggregate, typename C::group_policy>;
  static_assert(Layer::head_dim % 16 == 0 && Layer::head_dim <= 512,
                "kvsieve: the head dimension must be a multiple of 16, up to 512");
  static_assert(
      !ragged_rows<typename Layer::keys_type> && !ragged_rows<typename Layer::values_type>,
      "kvsieve::plan reads a cache whose heads have the same number of tokens: ragged views are only a target "
      "of kvsieve::apply");

 private:
  static constexpr bool joins_scores = cs::is_same_v<typename C::pattern, patterns::joined>;

  /// Of a score that is made of two: the scratch of both halves, and rows for the second.
  template <class First, class Second>
  struct halves {
    First first;
    Second second;
    float* rows;
  };
  [[nodiscard]] auto first_half() const {
    return scorer<typename score::first, Exec, Layer, Queries>(on_, layers_, queries_, params_.score.first);
  }
  [[nodiscard]] auto second_half() const {
    return scorer<typename score::second, Exec, Layer, Queries>(on_, layers_, queries_, params_.score.second);
  }
  [[nodiscard]] auto carve_halves(arena& a) const {
    auto const first = first_half().carve(a);
    auto const second = second_half().carve(a);
    index floats = 0;
    for (index v = 0; v < views(); ++v) floats += heads() * score_stride(seen(v).tokens);
    return halves<cs::remove_cv_t<decltype(first)>, cs::remove_cv_t<decltype(second)>>{
        first, second, a.take<float>(static_cast<std::size_t>(floats))};
  }
  [[nodiscard]] auto carve_pattern(arena& a) const {
    if constexpr (cs::is_same_v<typename C::pattern, patterns::per_row>)
      return score_per_row<score>::carve(a, layers_, on_.workers(), params_.score);
    else if constexpr (cs::is_same_v<typename C::pattern, patterns::per_chunk>)
      return score_per_chunk<score>::carve(a, layers_, on_.workers(), params_.score);
    else if constexpr (cs::is_same_v<typename C::pattern, patterns::per_pair>)
      return score_per_pair<score>::carve(a, layers_, on_.workers(), params_.score);
    else if constexpr (cs::is_same_v<typename C::pattern, patterns::per_hidden>)
      return score_per_hidden<score>::carve(a, layers_, on_.workers(), params_.score);
    else if constexpr (C::folds_queries)
      return by_query::carve(a, layers_, queries_, on_.workers(), params_.score, params_.aggregate, params_.group);
    else if constexpr (cs::is_same_v<typename C::pattern, patterns::per_head>)
      return score_per_head<score>::carve(a, layers_, queries_, on_.workers(), params_.score);
    else if constexpr (joins_scores)
      return carve_halves(a);
    else
      return 0;
  }
  /// A weight that joins what a table makes of the values.
  static constexpr bool projects = requires { weigh::quadratic; };
  [[nodiscard]] auto carve_weight([[maybe_unused]] arena& a) const {
    if constexpr (projects)
      return project_values<weigh>::carve(a, layers_, on_.workers(), params_.weigh);
    else
      return 0;
  }
  [[nodiscard]] auto carve_protect([[maybe_unused]] arena& a, [[maybe_unused]] index longest) const {
    if constexpr (protect::protects)
      return protect_mass<protect>::carve(a, views(), longest, on_.workers());
    else
      return 0;
  }

 public:
  scorer(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
         typename C::params const& params)
      : on_(on), layers_(layers), queries_(queries), params_(params) {}

  [[nodiscard]] call_shape shape() const {
    return {static_cast<int>(layers_.size()), heads(), Layer::head_dim, token_bytes<Layer>()};
  }
  [[nodiscard]] scored_view seen(index v) const { return describe<score>(params_.score, layer(v).tokens()); }

  /// Arguments of a call that cannot be scored; with `first` from 0 on, of one that brings the queries from there on.
  [[nodiscard]] status check_all(int first = -1) const {
    if (layers_.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
    if (layers_.size() > 1u << 20)
      return fail(errc::bad_shape, "layers", static_cast<double>(layers_.size()), "must be at most", 1 << 20);
    if (status const s = check::params(params_, shape()); !s) return s;
    if constexpr (C::observes_queries)
      if (status const s = check::one_each("queries", queries_.size(), layers_.size()); !s) return s;
    if constexpr (joins_scores)
      if (status const s = check_halves(); !s) return s;
    for (index v = 0; v < views(); ++v) {
      int const at = static_cast<int>(v);
      auto const& l = layer(v);
      if (status const s = check::layer(l, heads(), at); !s) return s;
      if constexpr (reads(C::reads, needs::keys))
        if (status const s = check::readable(l.keys, "keys", at); !s) return s;
      if constexpr (reads(C::reads, needs::values))
        if (status const s = check::readable(l.values, "values", at); !s) return s;
      if constexpr (requires { score::check_view(params_.score, at, l.tokens()); })
        if (status const s = score::check_view(params_.score, at, l.tokens()); !s) return s;
      if constexpr (C::observes_queries && !joins_scores) {
        auto const& q = queries_[static_cast<std::size_t>(v)];
        if (status const s = check::queries<score>(q, l, params_.score, at, least_queries<aggregate>,
                                                   weighs_queries<aggregate>, first);
            !s)
          return s;
        if constexpr (requires { C::group_policy::fits(params_.group, q.extent(0), seen(v).tokens); })
          if (status s = C::group_policy::fits(params_.group, q.extent(0), seen(v).tokens); !s) {
            s.layer = at;
            return s;
          }
        if (first >= 0)
          if (status const s = check::same_part<score>(layers_, queries_, params_.score, at); !s) return s;
        if (status const s = check::readable(q, "queries", at); !s) return s;
      }
    }
    return {};
  }

  /// Scratch of the score's pattern and of what follows it.
  template <class Pattern, class Weight, class Protect>
  struct scratch {
    Pattern pattern;
    Weight weight;
    Protect protect;
    index room;
    float* pooled;  ///< a row of `room` a worker
  };
  [[nodiscard]] auto carve(arena& a) const {
    index longest = 0;
    for (auto const& l : layers_) longest = longest < l.tokens() ? l.tokens() : longest;
    scratch<decltype(carve_pattern(a)), decltype(carve_weight(a)), decltype(carve_protect(a, longest))> s{
        carve_pattern(a), carve_weight(a), carve_protect(a, longest), round_up<index>(longest, 16) + 16, nullptr};
    s.pooled = a.take<float>(static_cast<std::size_t>(smooth::pools ? s.room * on_.workers() : 0));
    return s;
  }

  /// Floats of the state that a call with a part of the queries folds into.
  [[nodiscard]] std::size_t state_floats() const {
    return static_cast<std::size_t>(by_query::state_floats(layers_, queries_, params_.score));
  }
  /// Folds the queries from `first` on into `state`.
  /// @returns true when the last one came, and `rows` hold scores
  template <class Scratch>
  bool run_part(Scratch const& own, score_rows const& rows, float* state, int first) const {
    own.pattern.run(on_, layers_, queries_, rows, state, first);
    if (first + queries_[0].extent(1) < score::queries(params_.score, layer(0).tokens())) return false;
    shape_all(own, rows);
    return true;
  }

  /// What the aggregate policy measured of whole views, after run().
  template <class Scratch>
  [[nodiscard]] static layer_statistics measured(Scratch const& own) {
    if constexpr (C::folds_queries)
      return own.pattern.measured();
    else
      return {};
  }

  /// Scores everything; `rows` has a row for each head of each view.
  template <class Scratch>
  void run(Scratch const& own, score_rows const& rows) const {
    make_scores(own.pattern, rows);
    shape_all(own, rows);
  }

  /// For a selection by two scores: `weighed` becomes what run() made, with the weight.
  template <class Scratch>
  void weigh_beside(Scratch const& own, score_rows const& rows, score_rows const& weighed) const {
    on_.for_each(views() * heads(), [&](index i, int) {
      index const v = i / heads(), h = i % heads(), n = seen(v).tokens;
      float const* const from = rows.row(v, h, n);
      float* const to = weighed.row(v, h, n);
      for (index t = 0; t < n; ++t) to[t] = from[t];
    });
    weigh_scores(own, weighed);
  }

 private:
  /// What the stages after the score make of the rows.
  template <class Scratch>
  void shape_all([[maybe_unused]] Scratch const& own, score_rows const& rows) const {
    if constexpr (lift::lifts)
      each_row(rows, [](scored_view const& s, float* row, int) { lift_to_mean<lift>(row + unscored(s), counted(s)); });
    if constexpr (!C::weighs_last && !projects) weigh_scores(own, rows);
    if constexpr (smooth::pools)
      each_row(rows, [&](scored_view const& s, float* row, int worker) {
        pool<smooth>(params_.smooth, row + unscored(s), counted(s), own.pooled + own.room * worker);
      });
    if constexpr (!C::weighs_last && projects) weigh_scores(own, rows);  // as CriticalKV does, behind the pool
    if constexpr (scale::scales)
      on_.for_each(views(), [&](index v, int) {
        index const n = seen(v).tokens, stride = score_stride(n), count = counted(seen(v));
        float* const row = rows.row(v, 0, n) + unscored(seen(v));
        auto const m = layer_moments::of(row, heads(), stride, count);
        for (index h = 0; h < heads(); ++h)
          for (index t = 0; t < count; ++t)
            row[h * stride + t] = scale::scaled(row[h * stride + t], m.mean, m.deviation);
      });
    if constexpr (protect::protects) {
      score_rows const beside = own.pattern.beside_rows();
      auto const first = [&](score_rows const& of, index v, index h) {
        return of.row(v, h, seen(v).tokens) + unscored(seen(v));
      };
      own.protect.run(
          on_, params_.protect, views(), heads(),
          [&](index v) {
            scored_view const s = seen(v);
            return scored_tokens{counted(s), s.ends.tail};
          },
          [&](index v) { return kvsieve::protect::fraction_kept(params_.budget, seen(v).tokens); },
          [&](index v, index h) { return first(rows, v, h); }, [&](index v, index h) { return first(beside, v, h); });
    }
    if constexpr (heads_policy::joins)
      on_.for_each(views(), [&](index v, int) {
        index const n = seen(v).tokens;
        join_heads<heads_policy>(rows.row(v, 0, n), heads(), score_stride(n), n);
      });
  }

  [[nodiscard]] index views() const { return static_cast<index>(layers_.size()); }
  [[nodiscard]] Layer const& layer(index v) const { return layers_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] int heads() const { return layers_.empty() ? 0 : layers_[0].heads(); }
  /// Where the tokens that have scores end: the scorer's own tail has none.
  [[nodiscard]] static index scored(scored_view const& s) {
    return s.ends.tail < s.tokens ? s.tokens - s.ends.tail : 0;
  }
  /// The scorer's own first tokens have none either, nor do pools and moments meet them ...
  [[nodiscard]] static index unscored(scored_view const& s) {
    return s.ends.head < scored(s) ? s.ends.head : scored(s);
  }
  /// ... so these many have.
  [[nodiscard]] static index counted(scored_view const& s) { return scored(s) - unscored(s); }
  /// Both halves of a score that is made of two, which have to score the same tokens.
  [[nodiscard]] status check_halves() const {
    if (status const s = first_half().check_all(); !s) return s;
    if (status const s = second_half().check_all(); !s) return s;
    for (index v = 0; v < views(); ++v)
      if (int const a = first_half().seen(v).tokens, b = second_half().seen(v).tokens; a != b)
        return fail(errc::bad_shape, "score.first, tokens", a, "must equal those of score.second,", b,
                    static_cast<int>(v));
    return {};
  }

  template <class Scratch>
  void weigh_scores([[maybe_unused]] Scratch const& own, score_rows const& rows) const {
    if constexpr (projects)
      own.weight.run(
          on_, layers_, [this](index v) { return scored(seen(v)); },
          [&](index v, index h) { return rows.row(v, h, seen(v).tokens); });
    else if constexpr (weigh::weighs)
      on_.for_each(views() * heads(), [&](index i, int) {
        index const v = i / heads(), h = i % heads();
        weigh_rows<weigh>(params_.weigh, layer(v).values, h, 0, scored(seen(v)), rows.row(v, h, seen(v).tokens));
      });
  }

  template <class F>
  void each_row(score_rows const& rows, F const& f) const {
    on_.for_each(views() * heads(), [&](index i, int worker) {
      index const v = i / heads(), h = i % heads();
      f(seen(v), rows.row(v, h, seen(v).tokens), worker);
    });
  }

  template <class Pattern>
  void make_scores(Pattern const& pattern, score_rows const& rows) const {
    if constexpr (C::folds_queries || cs::is_same_v<typename C::pattern, patterns::per_head>) {
      pattern.run(on_, layers_, queries_, rows);
    } else if constexpr (joins_scores) {
      score_rows const second{pattern.rows, rows.view_offset};
      first_half().run(pattern.first, rows);
      second_half().run(pattern.second, second);
      on_.for_each(views() * heads(), [&](index i, int) {
        index const v = i / heads(), h = i % heads(), n = seen(v).tokens;
        float* const row = rows.row(v, h, n);
        float const* const other = second.row(v, h, n);
        for (index t = 0; t < n; ++t) row[t] = score::joined(params_.score, row[t], other[t]);
      });
    } else if constexpr (cs::is_same_v<typename C::pattern, patterns::by_position>) {
      on_.for_each(views() * heads(), [&](index i, int) {
        index const v = i / heads(), h = i % heads();
        float* const row = rows.row(v, h, layer(v).tokens());
        for (int t = 0; t < layer(v).tokens(); ++t) row[t] = score::score(params_.score, t, static_cast<int>(i));
      });
    } else {
      pattern.run(on_, layers_, rows);
    }
  }

  Exec const& on_;
  cs::span<Layer const> layers_;
  cs::span<Queries const> queries_;
  typename C::params const& params_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
