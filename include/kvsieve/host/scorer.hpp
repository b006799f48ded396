// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// The first half of a plan on the host: a row of scores for every view and KV head, as selection will see it.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/host/score_per_chunk.hpp>
#include <kvsieve/host/score_per_query.hpp>
#include <kvsieve/host/score_per_row.hpp>
#include <kvsieve/host/shape_scores.hpp>
#include <kvsieve/host/weigh_rows.hpp>

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
  using heads_policy = typename C::heads_policy;
  static_assert(Layer::head_dim % 16 == 0 && Layer::head_dim <= 512,
                "kvsieve: the head dimension must be a multiple of 16, up to 512");
  static_assert(
      !ragged_rows<typename Layer::keys_type> && !ragged_rows<typename Layer::values_type>,
      "kvsieve::plan reads a cache whose heads have the same number of tokens: ragged views are only a target "
      "of kvsieve::apply");

 private:
  [[nodiscard]] auto carve_pattern(arena& a) const {
    if constexpr (cs::is_same_v<typename C::pattern, patterns::per_row>)
      return score_per_row<score>::carve(a, layers_, on_.workers());
    else if constexpr (cs::is_same_v<typename C::pattern, patterns::per_chunk>)
      return score_per_chunk<score>::carve(a, layers_, on_.workers(), params_.score);
    else if constexpr (C::observes_queries)
      return score_per_query<C>::carve(a, layers_, queries_, on_.workers(), params_);
    else
      return 0;
  }

 public:
  scorer(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
         typename C::params const& params)
      : on_(on), layers_(layers), queries_(queries), params_(params) {}

  [[nodiscard]] call_shape shape() const {
    return {static_cast<int>(layers_.size()), heads(), Layer::head_dim,
            Layer::head_dim * static_cast<int>(sizeof(element_of<typename Layer::keys_type>) +
                                               sizeof(element_of<typename Layer::values_type>))};
  }
  [[nodiscard]] scored_view seen(index v) const { return describe<score>(params_.score, layer(v).tokens()); }

  /// Arguments of a call that cannot be scored; with `first` from 0 on, of one that brings the queries from there on.
  [[nodiscard]] status check_all(int first = -1) const {
    if (layers_.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
    if (layers_.size() > 1u << 20)
      return fail(errc::bad_shape, "layers", static_cast<double>(layers_.size()), "must be at most", 1 << 20);
    if (status const s = check::params(params_, shape()); !s) return s;
    if constexpr (C::observes_queries)
      if (queries_.size() != layers_.size())
        return fail(errc::bad_shape, "queries", static_cast<double>(queries_.size()), "must equal the number of views,",
                    static_cast<double>(layers_.size()));
    for (index v = 0; v < views(); ++v) {
      int const at = static_cast<int>(v);
      auto const& l = layer(v);
      if (status const s = check::layer(l, heads(), at); !s) return s;
      if constexpr (reads(C::reads, needs::keys))
        if (status const s = check::readable(l.keys, "keys", at); !s) return s;
      if constexpr (reads(C::reads, needs::values))
        if (status const s = check::readable(l.values, "values", at); !s) return s;
      if constexpr (C::observes_queries) {
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
        if (first >= 0) {  // all views end with the same part
          index const here = score::queries(params_.score, l.tokens()),
                      there = score::queries(params_.score, layer(0).tokens());
          if (here != there)
            return fail(errc::bad_shape, "observed queries", static_cast<double>(here),
                        "must be, in parts, as many as of the first view,", static_cast<double>(there), at);
          if (q.extent(1) != queries_[0].extent(1))
            return fail(errc::bad_shape, "queries.tokens", static_cast<double>(q.extent(1)),
                        "must be, in parts, as many as of the first view,", static_cast<double>(queries_[0].extent(1)),
                        at);
        }
        if (status const s = check::readable(q, "queries", at); !s) return s;
      }
    }
    return {};
  }

  /// Scratch of the score's pattern and of what follows it.
  template <class Pattern>
  struct scratch {
    Pattern pattern;
    index room;
    float* pooled;  ///< a row of `room` a worker
  };
  [[nodiscard]] auto carve(arena& a) const {
    index longest = 0;
    for (auto const& l : layers_) longest = longest < l.tokens() ? l.tokens() : longest;
    scratch<decltype(carve_pattern(a))> s{carve_pattern(a), round_up<index>(longest, 16) + 16, nullptr};
    s.pooled = a.take<float>(static_cast<std::size_t>(smooth::pools ? s.room * on_.workers() : 0));
    return s;
  }

  /// Floats of the state that a call with a part of the queries folds into.
  [[nodiscard]] std::size_t state_floats() const {
    return static_cast<std::size_t>(score_per_query<C>::state_floats(layers_, queries_, params_.score));
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
    if constexpr (C::observes_queries)
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

 private:
  /// What the stages after the score make of the rows.
  template <class Scratch>
  void shape_all(Scratch const& own, score_rows const& rows) const {
    if constexpr (lift::lifts)
      each_row(rows, [](scored_view const& s, float* row, int) { lift_to_mean<lift>(row, scored(s)); });
    if constexpr (weigh::weighs)
      on_.for_each(views() * heads(), [&](index i, int) {
        index const v = i / heads(), h = i % heads();
        weigh_rows<weigh>(params_.weigh, layer(v).values, h, 0, scored(seen(v)), rows.row(v, h, seen(v).tokens));
      });
    if constexpr (smooth::pools)
      each_row(rows, [&](scored_view const& s, float* row, int worker) {
        pool<smooth>(params_.smooth, row, scored(s), own.pooled + own.room * worker);
      });
    if constexpr (scale::scales)
      on_.for_each(views(), [&](index v, int) {
        index const n = seen(v).tokens, stride = score_stride(n);
        float* const row = rows.row(v, 0, n);
        auto const m = layer_moments::of(row, heads(), stride, scored(seen(v)));
        for (index h = 0; h < heads(); ++h)
          for (index t = 0; t < scored(seen(v)); ++t)
            row[h * stride + t] = scale::scaled(row[h * stride + t], m.mean, m.deviation);
      });
    if constexpr (heads_policy::joins)
      on_.for_each(views(), [&](index v, int) {
        index const n = seen(v).tokens;
        join_heads<heads_policy>(rows.row(v, 0, n), heads(), score_stride(n), n);
      });
  }

  [[nodiscard]] index views() const { return static_cast<index>(layers_.size()); }
  [[nodiscard]] Layer const& layer(index v) const { return layers_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] int heads() const { return layers_.empty() ? 0 : layers_[0].heads(); }
  /// Tokens that have scores: the scorer's own tail has none.
  [[nodiscard]] static index scored(scored_view const& s) {
    return s.ends.tail < s.tokens ? s.tokens - s.ends.tail : 0;
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
    if constexpr (C::observes_queries) {
      pattern.run(on_, layers_, queries_, rows);
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
