// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of attention-based scores: the probabilities of the observed queries, folded as they appear. Bound by the
// multiply-adds of one pass over queries x keys: exponentials are kept for one block of 64 query positions at a time
// ([tokens, rows], linear in the tokens) and scaled once the row sums are known.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/host/finite_row.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/query_block.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class C>
class score_per_query {
  using scorer = typename C::score_policy;
  using folded = typename C::aggregate_policy;
  using grouped = typename C::group_policy;
  static_assert(accumulator<folded>, "kvsieve: this aggregate policy lacks update, combine, weight or result");

  static constexpr int lanes = fragment::lanes;
  static constexpr index blocks_per_task = 16;
  static constexpr index short_view = 2048;  // tokens up to which a head is one task
  // One column for all query heads of a group, where folding queries and joining heads are the same operation.
  static constexpr bool joint = (folded::additive && grouped::additive);

  struct scratch {
    query_block queries;
    float *e, *most, *total, *column, *room;  ///< e: [block, strip, key, row]
  };

 public:
  template <class Layer, class Queries>
  static score_per_query carve(arena& a, cs::span<Layer const> layers, cs::span<Queries const> queries, int workers,
                               typename scorer::params const& p) {
    score_per_query s{task_numbers::carve(a, static_cast<index>(layers.size())), p};
    index longest = 0, longest_short = 0, group = 1, positions = 1;
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
    s.rows_ = rows;
    s.workers_ = workers;
    s.all_ = a.take<scratch>(static_cast<std::size_t>(workers));
    // Worker 0's serves the long views, which all workers share; the others only meet short ones.
    for (int w = 0; w < workers; ++w) {
      index const blocks = ((w == 0 ? longest : longest_short) + key_block - 1) / key_block;
      auto const floats = [&](index n) { return a.take<float>(static_cast<std::size_t>(n)); };
      scratch c{};
      c.queries.packed = floats(rows * Layer::head_dim);
      c.queries.row_weight = floats(rows);
      c.queries.row_position = a.take<int>(static_cast<std::size_t>(rows));
      c.e = floats(blocks * key_block * rows);
      c.most = floats(blocks * rows);
      c.total = floats(blocks * rows);
      c.column = floats(joint ? 0 : group * blocks * key_block);
      c.room = floats((w == 0 ? workers : 1) * key_block * Layer::head_dim);
      if (s.all_ != nullptr) s.all_[w] = c;
    }
    return s;
  }

  template <class Exec, class Layer, class Queries>
  void run(Exec const& on, cs::span<Layer const> layers, cs::span<Queries const> queries, score_rows out) const {
    host::on<> const inline_ = {};
    tasks_.fill([&](index v) {
      auto const& l = layers[static_cast<std::size_t>(v)];
      return l.tokens() <= short_view ? l.heads() : 0;
    });
    on.for_each(tasks_.count(), [&](index i, int worker) {
      auto const [v, head] = tasks_.find(i);
      auto const& l = layers[static_cast<std::size_t>(v)];
      score_head(inline_, l, queries[static_cast<std::size_t>(v)], head, all_[worker], out.row(v, head, l.tokens()));
    });
    for (std::size_t v = 0; v < layers.size(); ++v)
      for (index head = 0; layers[v].tokens() > short_view && head < layers[v].heads(); ++head)
        score_head(on, layers[v], queries[v], head, all_[0], out.row(static_cast<index>(v), head, layers[v].tokens()));
  }

 private:
  score_per_query(task_numbers tasks, typename scorer::params const& p) : tasks_(tasks), params_(p) {}

  // One KV head: block after block of query positions, each in two sweeps over the keys it sees.
  template <class Exec, class Layer, class Queries>
  void score_head(Exec const& on, Layer const& l, Queries const& queries, index head, scratch const& c,
                  float* score) const {
    index const tokens = l.tokens(), observed = scorer::queries(params_, l.tokens());
    int const group = static_cast<int>(queries.extent(0) / l.heads());
    float* const column = joint ? score : c.column;
    index const column_stride = round_up<index>(tokens, key_block);
    for (int g = 0; g < (joint ? 1 : group); ++g)
      for (index t = 0; t < tokens; ++t) column[g * column_stride + t] = 0.0f;

    for (index first = 0; first < observed; first += query_block_positions) {
      int const positions =
          static_cast<int>(observed - first < query_block_positions ? observed - first : query_block_positions);
      query_block q = c.queries;
      pack_queries<folded>(queries, head, group, first, positions, joint ? positions : round_up(positions, lanes),
                           observed, tokens, q);
      index const visible = tokens - observed + first + positions;
      index const blocks = (visible + key_block - 1) / key_block;
      index const tasks = (blocks + blocks_per_task - 1) / blocks_per_task;
      auto const each_block = [&](index task, auto const& f) {
        for (index b = task * blocks_per_task; b < blocks && b < (task + 1) * blocks_per_task; ++b) f(b);
      };
      on.sweep(tasks, false, [&](index task, int worker) {
        each_block(task,
                   [&](index b) { measure(l.keys, head, q, b, c, c.room + worker * key_block * Layer::head_dim); });
      });
      row_factors(q, blocks, c);
      on.sweep(tasks, true, [&](index task, int) {
        each_block(task, [&](index b) { fold(q, group, b, tokens, c, column, column_stride); });
      });
    }
    finish(on, l.keys, head, group, observed, column, column_stride, score);
  }

  // Exponentials, maxima and sums of one block of keys.
  template <class Keys>
  static void measure(Keys const& keys, index head, query_block const& q, index b, scratch const& c, float* room) {
    constexpr int D = head_dim_of<Keys>;
    index const first_key = b * key_block;
    key_tile const k = load_keys(keys, head, first_key, room);
    prefetch_keys(keys, head, first_key + key_block);
    for (int row = 0; row < q.padded; row += strip_rows) {
      float* const e = c.e + first_key * q.padded + row * key_block;
      float *const most = c.most + b * q.padded + row, *const total = c.total + b * q.padded + row;
      if (q.strip(row) == strip_rows)
        exponentials<D, 2>(q, row, k, first_key, e, most, total);
      else
        exponentials<D, 1>(q, row, k, first_key, e, most, total);
    }
  }

  // Joins the blocks' maxima and sums: afterwards `most` of a block holds what its exponentials are multiplied by.
  static void row_factors(query_block const& q, index blocks, scratch const& c) {
    for (int row = 0; row < q.padded; row += lanes) {
      fragment most(-__builtin_inff()), sum(0.0f);
      for (index b = 0; b < blocks; ++b) most = max(most, load(c.most + b * q.padded + row));
      for (index b = 0; b < blocks; ++b)
        sum = fma(load(c.total + b * q.padded + row), exp2(load(c.most + b * q.padded + row) - most), sum);
      fragment const factor = where(fragment(0.0f) < sum, load(q.row_weight + row) / sum, fragment(0.0f));
      for (index b = 0; b < blocks; ++b) {
        float* const m = c.most + b * q.padded + row;
        store(m, exp2(load(m) - most) * factor);
      }
    }
  }

  // Folds the probabilities of one block of keys into the columns.
  static void fold(query_block const& q, int group, index b, index tokens, scratch const& c, float* column,
                   index column_stride) {
    float const* const factor = c.most + b * q.padded;
    float const* const e = c.e + b * key_block * q.padded;
    for (index j0 = 0; j0 < key_block && b * key_block + j0 < tokens; j0 += lanes)
      for (int g = 0; g < (joint ? 1 : group); ++g) {
        int const from = joint ? 0 : g * q.row_stride, to = joint ? q.padded : from + q.row_stride;
        fragment part[lanes];
        for (int j = 0; j < lanes; ++j) part[j] = fragment(0.0f);
        for (int strip = from / strip_rows * strip_rows; strip < to; strip += strip_rows) {
          int const width = q.strip(strip), first = from > strip ? from : strip;
          int const last = to < strip + width ? to : strip + width;
          for (int j = 0; j < lanes; ++j) {
            float const* const key = e + strip * key_block + (j0 + j) * width - strip;
            for (int row = first; row < last; row += lanes)
              part[j] = folded::update(part[j], load(key + row) * load(factor + row));
          }
        }
        index const t = b * key_block + j0;
        float* const out = column + g * column_stride + t;
        fragment const states = fold_lanes(part);
        if (tokens - t >= lanes)
          store(out, folded::combine(load(out), states));
        else
          for (int j = 0; j < tokens - t; ++j) out[j] = folded::combine(out[j], states[j]);
      }
  }

  static fragment fold_lanes(fragment const (&part)[lanes]) {
    if constexpr (folded::additive) {
      return sum_rows(part);
    } else {
      fragment r(0.0f);
      for (int j = 0; j < lanes; ++j) {
        float state = 0.0f;
        for (int i = 0; i < lanes; ++i) state = folded::combine(state, part[j][i]);
        r.v[j] = state;
      }
      return r;
    }
  }

  // Columns to scores: the accumulator's result, the group's, and NaN where a key is not finite.
  template <class Exec, class Keys>
  void finish(Exec const& on, Keys const& keys, index head, int group, index observed, float const* column,
              index column_stride, float* score) const {
    index const tokens = keys.extent(1);
    on.sweep(segments_of(tokens), false, [&](index segment, int) {
      index const last = (segment + 1) * segment_rows < tokens ? (segment + 1) * segment_rows : tokens;
      for (index t = segment * segment_rows; t < last; ++t) {
        observation const o{static_cast<int>(observed),
                            static_cast<int>(observed < tokens - t ? observed : tokens - t)};
        float joined = folded::result(column[t], o);
        for (int g = 1; !joint && g < group; ++g)
          joined = grouped::combine(joined, folded::result(column[g * column_stride + t], o));
        score[t] = grouped::result(joined, group);
        // A key that is not finite got no mass, so only tokens without mass have to be looked at again.
        if (score[t] == 0.0f && !finite_row(keys, head, t)) score[t] = __builtin_nanf("");
      }
    });
  }

  task_numbers tasks_;
  typename scorer::params params_;
  scratch* all_ = nullptr;
  index rows_ = 0;
  int workers_ = 1;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
