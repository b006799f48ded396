// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// A plan on the host: score, join heads, pool, select, for all views of a call.
#pragma once
#include <kvsieve/compressor.hpp>
#include <kvsieve/core/check.hpp>
#include <kvsieve/core/plan.hpp>
#include <kvsieve/host/block_wise.hpp>
#include <kvsieve/host/score_per_chunk.hpp>
#include <kvsieve/host/score_per_query.hpp>
#include <kvsieve/host/score_per_row.hpp>
#include <kvsieve/host/shape_scores.hpp>
#include <kvsieve/host/top_k.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// Stands where a strategy reads no queries.
struct no_queries {};

template <strategy C, executor Exec, class Layer, class Queries>
class planner {
  using score = typename C::score_policy;
  using smooth = typename C::smooth_policy;
  static_assert(Layer::head_dim % 16 == 0 && Layer::head_dim <= 512,
                "kvsieve: the head dimension must be a multiple of 16, up to 512");

  struct memory {
    index *offset, *score_offset;
    int* logical_tokens;
    float* scores;
    int* list;
    float* pooled;              ///< a row a worker
    unsigned *key, *candidate;  ///< a row a worker
    int *picked, *best;         ///< of a selection that scores anew, likewise
    float* rescored;
  };

  static constexpr bool rescores = requires { requires C::select_policy::rescores; };

 public:
  planner(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries,
          typename C::params const& params)
      : on_(on), layers_(layers), queries_(queries), params_(params) {}

  /// Bytes that run() needs; 0 for arguments that it refuses.
  [[nodiscard]] std::size_t bytes() const { return check_all() ? count_bytes() : 0; }

  [[nodiscard]] token_plan run(std::span<std::byte> workspace) const {
    token_plan plan;
    if (plan.state = check_all(); !plan) return plan;
    if (auto const past = reinterpret_cast<std::uintptr_t>(workspace.data()) % arena::alignment; past != 0) {
      plan.state = fail(errc::bad_pointer, "workspace", static_cast<double>(past), "bytes past the alignment it needs,",
                        static_cast<double>(arena::alignment));
      return plan;
    }
    if (std::size_t const needed = count_bytes(); workspace.size() < needed) {
      plan.state = fail(errc::workspace_too_small, "workspace", static_cast<double>(workspace.size()),
                        "bytes; it must be at least", static_cast<double>(needed));
      return plan;
    }
    arena a(workspace);
    memory const m = carve(a);
    lay_out(m, plan);
    score_rows const rows{m.scores, m.score_offset};
    auto const scorer = carve_scorer(a);
    if constexpr (rescores) {
      select_anew(m, rows);
    } else {
      make_scores(scorer, rows);
      shape_and_select(m, rows);
    }
    return plan;
  }

 private:
  [[nodiscard]] index views() const { return static_cast<index>(layers_.size()); }
  [[nodiscard]] Layer const& layer(index v) const { return layers_[static_cast<std::size_t>(v)]; }
  [[nodiscard]] int heads() const { return layers_.empty() ? 0 : layers_[0].heads(); }

  [[nodiscard]] std::size_t count_bytes() const {
    arena counting;
    (void)carve(counting);
    (void)carve_scorer(counting);
    return counting.used();
  }

  [[nodiscard]] status check_all() const {
    if (layers_.empty()) return fail(errc::bad_shape, "layers", 0, "must be at least", 1);
    if (status const s = check::params(params_); !s) return s;
    if constexpr (C::observes_queries)
      if (queries_.size() != layers_.size())
        return fail(errc::bad_shape, "queries", static_cast<double>(queries_.size()), "must equal the number of views,",
                    static_cast<double>(layers_.size()));
    for (index v = 0; v < views(); ++v) {
      int const at = static_cast<int>(v);
      auto const& l = layer(v);
      if (status const s = check::layer(l, heads(), at); !s) return s;
      if constexpr (reads(score::reads, needs::keys))
        if (status const s = check::readable(l.keys, "keys", at); !s) return s;
      if constexpr (reads(score::reads, needs::values))
        if (status const s = check::readable(l.values, "values", at); !s) return s;
      if constexpr (C::observes_queries) {
        auto const& q = queries_[static_cast<std::size_t>(v)];
        if (status const s = check::queries(q, l, score::queries(params_.score, l.tokens()), at); !s) return s;
        if (status const s = check::readable(q, "queries", at); !s) return s;
      }
      if constexpr (requires { params_.select.white_list; })
        if (status const s = check::white_list(params_.select.white_list, l.tokens(), at); !s) return s;
    }
    return {};
  }

  [[nodiscard]] memory carve(arena& a) const {
    index scores = 0, lists = 0, longest = 0;
    for (auto const& l : layers_) {
      scores += l.heads() * score_rows::stride(l.tokens());
      lists += l.heads() * kept(l.tokens());
      longest = longest < l.tokens() ? l.tokens() : longest;
    }
    auto const room = static_cast<std::size_t>((round_up<index>(longest, 16) + 16) * on_.workers());
    memory m{};
    m.offset = a.take<index>(static_cast<std::size_t>(views() * heads() + 1));
    m.score_offset = a.take<index>(static_cast<std::size_t>(views()));
    m.logical_tokens = a.take<int>(static_cast<std::size_t>(views()));
    m.scores = a.take<float>(static_cast<std::size_t>(scores));
    m.list = a.take<int>(static_cast<std::size_t>(lists));
    m.pooled = a.take<float>(smooth::pools ? room : 0);
    m.key = a.take<unsigned>(room);
    m.candidate = a.take<unsigned>(room);
    m.picked = a.take<int>(rescores ? room : 0);
    m.best = a.take<int>(rescores ? room : 0);
    m.rescored = a.take<float>(rescores ? room : 0);
    return m;
  }

  [[nodiscard]] auto carve_scorer(arena& a) const {
    if constexpr (cs::is_same_v<typename C::pattern, patterns::per_row>)
      return score_per_row<score>::carve(a, layers_, on_.workers());
    else if constexpr (cs::is_same_v<typename C::pattern, patterns::per_chunk>)
      return score_per_chunk<score>::carve(a, layers_, on_.workers(), params_.score);
    else if constexpr (C::observes_queries)
      return score_per_query<C>::carve(a, layers_, queries_, on_.workers(), params_.score);
    else
      return 0;
  }

  template <class Scorer>
  void make_scores(Scorer const& scorer, score_rows const& rows) const {
    if constexpr (C::observes_queries) {
      scorer.run(on_, layers_, queries_, rows);
    } else if constexpr (cs::is_same_v<typename C::pattern, patterns::by_position>) {
      on_.for_each(views() * heads(), [&](index i, int) {
        index const v = i / heads(), h = i % heads();
        float* const row = rows.row(v, h, layer(v).tokens());
        for (int t = 0; t < layer(v).tokens(); ++t) row[t] = score::score(params_.score, t, static_cast<int>(i));
      });
    } else {
      scorer.run(on_, layers_, rows);
    }
    if constexpr (C::heads_policy::joins)
      on_.for_each(views(), [&](index v, int) {
        join_heads(rows.row(v, 0, layer(v).tokens()), heads(), score_rows::stride(layer(v).tokens()),
                   layer(v).tokens());
      });
  }

  /// What the scorer itself keeps.
  [[nodiscard]] forced_ends own_ends([[maybe_unused]] int tokens) const {
    if constexpr (requires { score::forced(params_.score, tokens); })
      return score::forced(params_.score, tokens);
    else
      return {};
  }
  /// Tokens that a head of `tokens` keeps.
  [[nodiscard]] int kept(int tokens) const {
    if constexpr (C::select_policy::in_partitions) {
      partition const q = score::partitions(params_.score, tokens);
      return tokens - q.count * (q.length - C::budget_policy::count(params_.budget, q.length));
    } else {
      return C::budget_policy::count(params_.budget, tokens);
    }
  }
  /// Forced tokens of a head before they are cut to its budget.
  [[nodiscard]] forced_set forced(int tokens) const {
    forced_ends const ends = own_ends(tokens);
    int sink = ends.head, recent = ends.tail;
    forced_set f;
    if constexpr (!C::select_policy::in_partitions && !rescores) {
      int const own = C::select_policy::recent(params_.select, kept(tokens));
      sink = sink < params_.select.sink ? params_.select.sink : sink;
      recent = recent < own ? own : recent;
      f.white_list = params_.select.white_list.data();
      f.white_count = static_cast<int>(params_.select.white_list.size());
    }
    f.tokens = tokens;
    f.sink = sink < tokens ? sink : tokens;
    f.recent = recent < tokens ? recent : tokens;
    return f;
  }

  void lay_out(memory const& m, token_plan& plan) const {
    index lists = 0, scores = 0;
    for (index v = 0; v < views(); ++v) {
      int const tokens = layer(v).tokens(), keep = kept(tokens);
      m.logical_tokens[v] = tokens;
      m.score_offset[v] = scores;
      scores += heads() * score_rows::stride(tokens);
      for (index h = 0; h < heads(); ++h, lists += keep) m.offset[v * heads() + h] = lists;
      if (int const needed = forced(tokens).size(); plan.note && needed > keep)
        plan.note =
            fail(errc::bad_params, "budget", keep, "is less than the forced tokens,", needed, static_cast<int>(v));
    }
    m.offset[views() * heads()] = lists;
    plan.uniformity_class = C::uniformity_class;
    plan.views = static_cast<int>(views());
    plan.heads = heads();
    plan.logical_tokens = m.logical_tokens;
    plan.offset = m.offset;
    plan.list = m.list;
    plan.score = m.scores;
    plan.score_offset = m.score_offset;
  }

  void shape_and_select(memory const& m, score_rows const& rows) const {
    index longest = 0;
    for (auto const& l : layers_) longest = longest < l.tokens() ? l.tokens() : longest;
    index const room = round_up<index>(longest, 16) + 16;
    on_.for_each(views() * heads(), [&](index i, int worker) {
      index const v = i / heads(), h = i % heads();
      int const tokens = layer(v).tokens();
      float* const row = rows.row(v, h, tokens);
      if constexpr (smooth::pools) {
        int const tail = own_ends(tokens).tail;  // has no scores: pools end before it
        pool<smooth>(params_.smooth, row, tail < tokens ? tokens - tail : 0, m.pooled + room * worker);
      }
      top_k_scratch const scratch{m.key + room * worker, m.candidate + room * worker};
      int* const out = m.list + m.offset[i];
      forced_set const f = forced(tokens);
      if constexpr (C::select_policy::in_partitions)
        select_in_partitions(row, tokens, out, scratch);
      else
        top_k(row, tokens, kept(tokens), f.cut(kept(tokens)), 0, out, scratch);
      mark_forced(row, f);
    });
  }

  void select_anew(memory const& m, score_rows const& rows) const {
    index longest = 0;
    for (auto const& l : layers_) longest = longest < l.tokens() ? l.tokens() : longest;
    index const room = round_up<index>(longest, 16) + 16;
    on_.for_each(views() * heads(), [&](index i, int worker) {
      index const v = i / heads(), h = i % heads(), at = room * worker;
      int const tokens = layer(v).tokens();
      block_wise_scratch const s{m.picked + at, m.best + at, m.rescored + at, {m.key + at, m.candidate + at}};
      select_block_wise<score>(layer(v).keys, h, kept(tokens), params_.select.block, rows.row(v, h, tokens),
                               m.list + m.offset[i], s);
    });
  }

  void select_in_partitions(float const* row, int tokens, int* out, top_k_scratch const& scratch) const {
    partition const q = score::partitions(params_.score, tokens);
    int const each = C::budget_policy::count(params_.budget, q.length), begin = q.count == 0 ? tokens : q.begin;
    for (int t = 0; t < begin; ++t) *out++ = t;
    for (int p = 0; p < q.count; ++p, out += each) {
      int const first = q.begin + p * q.length;
      top_k(row + first, q.length, each, forced_set{q.length, 0, 0, nullptr, 0}, first, out, scratch);
    }
    for (int t = begin + q.count * q.length; t < tokens; ++t) *out++ = t;
  }

  Exec const& on_;
  cs::span<Layer const> layers_;
  cs::span<Queries const> queries_;
  typename C::params const& params_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
