// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of attention-based scores: the probabilities (or logits) of the observed queries, folded as they appear. Bound
// by the multiply-adds of one pass over queries x keys: exponentials are kept for one block of 64 query positions at a
// time ([tokens, rows], linear in the tokens) and scaled once the row sums are known.
#pragma once
#include <kvsieve/aggregate/mean.hpp>
#include <kvsieve/core/scores.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/score/fold_queries.hpp>
#include <kvsieve/host/score/query_results.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

namespace detail {
template <class A>
struct beside_of {
  using type = aggregate::mean;  // stands where there is none
};
template <class A>
  requires has_beside<A>
struct beside_of<A> {
  using type = typename A::beside;
};
}  // namespace detail

/// Of the score's policy and those that fold and join, alone: strategies that differ in what comes after share it.
template <class Score, class Aggregate, class Group>
class score_per_query {
  using scorer = Score;
  using form = typename scorer::form;
  using folded = Aggregate;
  using grouped = Group;
  static_assert(accumulator<folded>,
                "kvsieve: this aggregate policy lacks linear, states, weight or result, or, where it is not linear, "
                "in_order, init, update or combine");
  static_assert(form::normalises || (takes_logits<folded> && !pools_tokens<folded>),
                "kvsieve::row_form::logits goes with an aggregate policy that is linear, or kvsieve::aggregate::max");
  static_assert(!weighs_heads<grouped> || grouped::additive,
                "kvsieve: a group policy that weighs its query heads has to be additive");
  static_assert(!weighs_tokens<grouped> || !grouped::additive,
                "kvsieve: a group policy that weighs the tokens of its query heads is not additive");

  using folds = query_folds<folded, grouped, form>;
  using beside_type = typename detail::beside_of<folded>::type;
  using beside_folds = query_folds<beside_type, aggregate::group_mean, form>;
  using scratch = query_scratch;
  static constexpr int lanes = fragment::lanes;
  static constexpr index blocks_per_task = 16;
  static constexpr index short_view = 2048;  // tokens up to which a head is one task
  static constexpr int states = folded::states;
  // One column for all query heads of a group, where folding queries and joining heads are the same operation.
  static constexpr bool joint = folds::joint;
  static constexpr int statistics = statistics_of<folded>;
  static constexpr bool beside = has_beside<folded>;
  static_assert(!beside || form::normalises, "kvsieve: an accumulator with another beside it folds probabilities");
  static_assert(statistics == 0 || !folded::linear,
                "kvsieve: an accumulator that measures views has a state of its own");

 public:
  template <class Layer, class Queries>
  static score_per_query carve(arena& a, cs::span<Layer const> layers, cs::span<Queries const> queries, int workers,
                               typename scorer::params const& p, typename folded::params const& folding,
                               typename grouped::params const& grouping) {
    score_per_query s{task_numbers::carve(a, static_cast<index>(layers.size())), p, folding, grouping};
    index longest = 0, longest_short = 0, group = 1, positions = 1;
    for (auto const& l : layers) {
      int const sets = scorer::set_count(p, l.tokens());
      s.set_stride_ = s.set_stride_ < sets ? sets : s.set_stride_;
    }
    s.parts_ = a.take<view_part>(layers.size());
    s.sets_ = a.take<query_set>(layers.size() * static_cast<std::size_t>(s.set_stride_));
    for (std::size_t v = 0; v < layers.size(); ++v) {
      index const n = layers[v].tokens(), observed = scorer::queries(p, static_cast<int>(n));
      longest = longest < n ? n : longest;
      if (n <= short_view) longest_short = longest_short < n ? n : longest_short;
      index const g = queries[v].extent(0) / (layers[v].heads() < 1 ? 1 : layers[v].heads());
      group = group < g ? g : group;
      positions = positions < observed ? observed : positions;
    }
    if (positions > query_block_positions) positions = query_block_positions;
    index const rows = round_up<index>(group * (joint ? positions : round_up<index>(positions, lanes)), lanes);
    s.all_ = a.take<scratch>(static_cast<std::size_t>(workers));
    // Worker 0's serves the long views, which all workers share; the others only meet short ones.
    for (int w = 0; w < workers; ++w) {
      index const blocks = ((w == 0 ? longest : longest_short) + key_block - 1) / key_block;
      auto const floats = [&](index n) { return a.take<float>(static_cast<std::size_t>(n)); };
      scratch c{};
      c.queries.packed = floats(rows * Layer::head_dim);
      c.queries.row_weight = floats(rows);
      if (amx_tiles::exist && fit_tiles<decltype(layers[0].keys), Queries>)
        c.queries.pairs = a.take<cs::uint16_t>(static_cast<std::size_t>(rows * Layer::head_dim));
      c.queries.row_position = a.take<int>(static_cast<std::size_t>(rows));
      c.queries.seen = a.take<seen_keys>(query_block_positions);
      c.e = floats(blocks * key_block * rows);
      c.most = floats(blocks * rows);
      c.total = floats(blocks * rows);
      c.column = floats(joint ? 0 : group * states * blocks * key_block);
      c.measured = a.take<double>(static_cast<std::size_t>(segments_of(blocks * key_block) * statistics));
      c.bad = a.take<unsigned long long>(static_cast<std::size_t>(blocks));
      c.room = floats((w == 0 ? workers : 1) * key_block * Layer::head_dim);
      if (s.all_ != nullptr) s.all_[w] = c;
    }
    index const heads = layers.empty() ? 0 : layers[0].heads();
    if constexpr (beside) {
      index floats = 0;
      s.beside_offset_ = a.take<index>(layers.size());
      for (std::size_t v = 0; v < layers.size(); ++v) {
        if (s.beside_offset_ != nullptr) s.beside_offset_[v] = floats;
        floats += heads * score_stride(scorer::cached(p, layers[v].tokens()));
      }
      s.beside_rows_ = a.take<float>(static_cast<std::size_t>(floats));
    }
    s.by_head_ = a.take<double>(layers.size() * static_cast<std::size_t>(heads * statistics));
    s.by_view_ = a.take<double>(layers.size() * static_cast<std::size_t>(statistics));
    return s;
  }

  /// A row of the accumulator beside the first for each view and KV head, after run().
  [[nodiscard]] score_rows beside_rows() const { return {beside_rows_, beside_offset_}; }
  /// What the accumulator measured of the views, after run().
  [[nodiscard]] layer_statistics measured() const { return {by_view_, statistics}; }

  /// Floats of the columns of all views, for a call that brings a part of the queries.
  template <class Layer, class Queries>
  static index state_floats(cs::span<Layer const> layers, cs::span<Queries const> queries,
                            typename scorer::params const& p) {
    index sum = 0;
    for (std::size_t v = 0; v < layers.size(); ++v) sum += layers[v].heads() * column_floats(layers[v], queries[v], p);
    return sum;
  }

  /// Scores of all heads; with `state`, of the queries from `first` on alone, folded into the columns there. Rows are
  /// written when the last query came.
  template <class Exec, class Layer, class Queries>
  void run(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries, score_rows out,
           float* state = nullptr, int first = 0) const {
    host::on<> const inline_ = {};
    float* own = state;
    for (std::size_t v = 0; v < layers.size(); ++v) {
      parts_[v] = {own, first};
      if (state != nullptr) own += layers[v].heads() * column_floats(layers[v], queries[v], params_);
    }
    auto const row = [&](std::size_t v, index head) {
      return out.row(static_cast<index>(v), head, scorer::cached(params_, layers[v].tokens()));
    };
    for (std::size_t v = 0; v < layers.size(); ++v)
      for (int s = 0, n = layers[v].tokens(); s < scorer::set_count(params_, n); ++s)
        sets_[static_cast<index>(v) * set_stride_ + s] = scorer::set(params_, n, s);
    tasks_.fill([&](index v) {
      auto const& l = layers[static_cast<std::size_t>(v)];
      return l.tokens() <= short_view ? l.heads() : 0;
    });
    on.for_each(tasks_.count(), [&](index i, int worker) {
      auto const [view, head] = tasks_.find(i);
      auto const v = static_cast<std::size_t>(view);
      score_head(inline_, layers[v], queries[v], view, head, all_[worker], row(v, head));
    });
    for (std::size_t v = 0; v < layers.size(); ++v)
      for (index head = 0; layers[v].tokens() > short_view && head < layers[v].heads(); ++head)
        score_head(on, layers[v], queries[v], static_cast<index>(v), head, all_[0], row(v, head));
    for (std::size_t v = 0; v < layers.size(); ++v)
      for (int k = 0; k < statistics; ++k) {
        index const at = static_cast<index>(v), heads = layers[v].heads();
        double sum = 0;
        for (index head = 0; head < heads; ++head) sum += by_head_[(at * heads + head) * statistics + k];
        by_view_[at * statistics + k] = sum;
      }
  }

 private:
  score_per_query(task_numbers tasks, typename scorer::params const& p, typename folded::params const& folding,
                  typename grouped::params const& grouping)
      : tasks_(tasks), params_(p), folding_(folding), grouping_(grouping) {}

  /// Where the columns of a view lie, when the caller keeps them, and the first query that a call brings.
  struct view_part {
    float* state;
    int first;
  };
  template <class Layer, class Queries>
  static index column_floats(Layer const& l, Queries const& queries, typename scorer::params const& p) {
    int const cached = scorer::cached(p, l.tokens());
    index const group = queries.extent(0) / (l.heads() < 1 ? 1 : l.heads());
    index const own = joint ? score_stride(cached) : group * states * round_up<index>(cached, key_block);
    return own + (beside ? score_stride(cached) : 0);
  }

  /// The sets of a view.
  [[nodiscard]] cs::span<query_set const> sets_of(index view, int tokens) const {
    return {sets_ + view * set_stride_, static_cast<cs::size_t>(scorer::set_count(params_, tokens))};
  }

  // One KV head: block after block of query positions, each in two sweeps over the keys it sees.
  template <class Exec, class Layer, class Queries>
  void score_head(Exec const& on, Layer const& l, Queries const& queries, index view, index head, scratch const& c,
                  float* score) const {
    int const observed = scorer::queries(params_, l.tokens()), cached = scorer::cached(params_, l.tokens());
    int const group = static_cast<int>(queries.extent(0) / l.heads());
    folds const fold{folding_};
    auto const [state, part_first] = parts_[view];
    float* const data =
        state != nullptr ? state + head * column_floats(l, queries, params_) : (joint ? score : c.column);
    query_columns const column{data, round_up<index>(cached, key_block), group, cached,
                               cached - scorer::forced(params_, l.tokens()).tail};
    // Of the accumulator beside it: one column for the group, behind the others where the caller keeps them.
    [[maybe_unused]] query_columns second = column;
    if constexpr (beside) {
      float* const row = beside_rows().row(view, head, cached);
      second.data = state != nullptr ? data + column_floats(l, queries, params_) - score_stride(cached) : row;
      if (part_first == 0)
        for (index t = 0; t < cached; ++t) second.data[t] = 0;
    }
    int const end = state != nullptr ? part_first + static_cast<int>(queries.extent(1)) : observed;
    index const query_row = state != nullptr ? -index{part_first} : queries.extent(1) - observed;
    if (part_first == 0) fold.start(column);
    auto const sets = sets_of(view, l.tokens());
    auto const scales = scorer::scales(params_);
    index const all_blocks = (l.tokens() + key_block - 1) / key_block;
    for (index b = 0; b < all_blocks; ++b) c.bad[b] = ~0ull;

    for (index first = part_first; first < end; first += query_block_positions) {
      int const positions = static_cast<int>(end - first < query_block_positions ? end - first : query_block_positions);
      query_block q = c.queries;
      float set_weight[query_block_positions];
      q.restricted = place_queries<folded>(sets, static_cast<int>(first), positions, cached, q.seen, set_weight);
      q.positions = positions;
      if (!amx_tiles::granted()) q.pairs = nullptr;
      pack_queries(
          queries, head, group, query_row, first, positions, joint ? positions : round_up(positions, lanes),
          form::normalises ? 1.4426950408889634 : 1.0,
          [&](int g, int i) {
            int const w = i - static_cast<int>(first);
            float own = folded::weight(folding_, i, observed, q.seen[w].count()) * set_weight[w];
            if (!scales.empty()) own *= scales[static_cast<cs::size_t>(view * observed + i)];
            if constexpr (weighs_heads<grouped> && joint)
              return own * grouped::head_weight(grouping_, view, head * group + g);
            else
              return own;
          },
          q);
      index const visible = q.visible(), blocks = (visible + key_block - 1) / key_block;
      auto const sweep = [&](index count, bool backwards, auto const& f) {
        on.sweep((count + blocks_per_task - 1) / blocks_per_task, backwards, [&](index task, int worker) {
          for (index b = task * blocks_per_task; b < count && b < (task + 1) * blocks_per_task; ++b) f(b, worker);
        });
      };
      sweep(blocks, false, [&](index b, int worker) {
        measure<Queries>(l.keys, head, q, b, c, c.room + worker * key_block * Layer::head_dim);
        if constexpr (requires { requires form::joins_group; })
          if (q.sees_some(b * key_block)) join_exponentials(q, b, group, c);
      });
      fold.row_factors(q, blocks, c);
      index const scored = visible < cached ? blocks : (cached + key_block - 1) / key_block;
      if constexpr (beside)
        sweep(scored, true, [&](index b, int) {
          if (q.sees_some(b * key_block)) beside_folds::fold_linear(q, b, c, second);
        });
      if constexpr (pools_tokens<folded>) {
        fold.keep_mass(q, blocks, column.past, c);
        index const reach = folded::kernel(folding_) / 2, past = column.past;
        index const last = visible + reach < past ? visible + reach : past;
        sweep((last + key_block - 1) / key_block, true,
              [&](index b, int) { fold.fold_pooled(q, first, b, blocks, c, column); });
      } else {
        sweep(scored, true, [&](index b, int) {
          if (!q.sees_some(b * key_block)) return;
          if constexpr (folded::linear)
            fold.fold_linear(q, b, c, column);
          else
            fold.fold_states(q, first, b, c, column);
        });
      }
    }
    if (end < observed) return;
    query_results<folded, grouped> const results{folding_, grouping_, sets, view, head};
    results.write(on, l, c, column, score);
    if constexpr (beside) {
      typename beside_type::params const none{};
      no_params const mean{};
      query_results<beside_type, aggregate::group_mean> const rows{none, mean, sets, view, head};
      rows.write(on, l, c, second, beside_rows().row(view, head, cached));
    }
    results.add_measured(c, cached, by_head_ + (view * l.heads() + head) * statistics);
  }

  // Exponentials, maxima and sums, or logits, of one block of keys.
  template <class Queries, class Keys>
  static void measure(Keys const& keys, index head, query_block const& q, index b, scratch const& c, float* room) {
    constexpr int D = head_dim_of<Keys>;
    index const first_key = b * key_block;
    if (!q.sees_some(first_key)) {
      for (int row = 0; row < q.padded; row += lanes) {
        store(c.most + b * q.padded + row, fragment(-__builtin_inff()));
        store(c.total + b * q.padded + row, fragment(0.0f));
      }
      if constexpr (pools_tokens<folded>)  // pools of the tokens beside the block read it
        for (index i = 0; i < key_block * q.padded; i += lanes) store(c.e + first_key * q.padded + i, fragment(0.0f));
      return;
    }
    prefetch_keys(keys, head, first_key + key_block);
    if constexpr (amx_tiles::exist && fit_tiles<Keys, Queries>)
      if (q.pairs != nullptr) {
        amx_tiles tiles;
        return measure_strips<D>(q, b, c,
                                 load_pairs(keys, head, first_key, reinterpret_cast<cs::uint16_t*>(room), tiles));
      }
    measure_strips<D>(q, b, c, load_keys(keys, head, first_key, room));
  }
  template <int D, class Block>
  static void measure_strips(query_block const& q, index b, scratch const& c, Block const& k) {
    index const first_key = b * key_block;
    c.bad[b] = k.bad;
    for (int row = 0; row < q.padded; row += strip_rows) {
      float* const e = c.e + first_key * q.padded + row * key_block;
      float *const most = c.most + b * q.padded + row, *const total = c.total + b * q.padded + row;
      auto const strip = [&]<int V>() {
        if constexpr (form::normalises)
          exponentials<D, V>(q, row, k, first_key, e, most, total);
        else
          seen_logits<D, V, folds::lowest>(q, row, k, first_key, folds::lowest ? -__builtin_inff() : 0.0f, e);
      };
      if (q.strip(row) == strip_rows)
        strip.template operator()<2>();
      else
        strip.template operator()<1>();
    }
  }

  task_numbers tasks_;
  typename scorer::params params_;
  typename folded::params folding_;
  typename grouped::params grouping_;
  scratch* all_ = nullptr;
  view_part* parts_ = nullptr;  ///< [views]
  query_set* sets_ = nullptr;   ///< [views, set_stride_]
  int set_stride_ = 0;
  float* beside_rows_ = nullptr;
  index* beside_offset_ = nullptr;                  ///< [views]
  double *by_head_ = nullptr, *by_view_ = nullptr;  ///< [view, head, statistic], [view, statistic]
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
