// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of attention-based scores: the probabilities of the observed queries, folded as they appear. Bound by the
// multiply-adds of one pass over queries x keys: exponentials are kept for one block of 64 query positions at a time
// ([tokens, rows], linear in the tokens) and scaled once the row sums are known.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
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
  static_assert(accumulator<folded>,
                "kvsieve: this aggregate policy lacks linear, states, weight or result, or, where it is not linear, "
                "in_order, init, update or combine");

  static constexpr int lanes = fragment::lanes;
  static constexpr index blocks_per_task = 16;
  static constexpr index short_view = 2048;  // tokens up to which a head is one task
  static constexpr int states = folded::states;
  // One column for all query heads of a group, where folding queries and joining heads are the same operation.
  static constexpr bool joint = (folded::linear && grouped::additive);

  struct scratch {
    query_block queries;
    float* e;                 ///< [block, strip, key, row]: exponentials
    float *most, *total;      ///< [block, row]: the largest logit, later the row's factor; the sum of exponentials
    float* column;            ///< [head of the group, state, token]
    float* room;              ///< [worker, key, D]: keys as floats
    unsigned long long* bad;  ///< [block]: bit j: key j is not finite
  };

 public:
  template <class Layer, class Queries>
  static score_per_query carve(arena& a, cs::span<Layer const> layers, cs::span<Queries const> queries, int workers,
                               typename C::params const& p) {
    score_per_query s{task_numbers::carve(a, static_cast<index>(layers.size())), p};
    index longest = 0, longest_short = 0, group = 1, positions = 1;
    for (std::size_t v = 0; v < layers.size(); ++v) {
      index const n = layers[v].tokens(), observed = scorer::queries(p.score, static_cast<int>(n));
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
      c.queries.row_position = a.take<int>(static_cast<std::size_t>(rows));
      c.e = floats(blocks * key_block * rows);
      c.most = floats(blocks * rows);
      c.total = floats(blocks * rows);
      c.column = floats(joint ? 0 : group * states * blocks * key_block);
      c.bad = a.take<unsigned long long>(static_cast<std::size_t>(blocks));
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
  score_per_query(task_numbers tasks, typename C::params const& p)
      : tasks_(tasks), params_(p.score), folding_(p.aggregate) {}

  // One KV head: block after block of query positions, each in two sweeps over the keys it sees.
  template <class Exec, class Layer, class Queries>
  void score_head(Exec const& on, Layer const& l, Queries const& queries, index head, scratch const& c,
                  float* score) const {
    index const tokens = l.tokens(), observed = scorer::queries(params_, l.tokens());
    index const past = tokens - scorer::forced(params_, l.tokens()).tail;
    int const group = static_cast<int>(queries.extent(0) / l.heads());
    float* const column = joint ? score : c.column;
    index const column_stride = round_up<index>(tokens, key_block);
    if constexpr (joint)
      for (index t = 0; t < tokens; ++t) column[t] = 0.0f;
    else
      start(group, column, column_stride);

    for (index first = 0; first < observed; first += query_block_positions) {
      int const positions =
          static_cast<int>(observed - first < query_block_positions ? observed - first : query_block_positions);
      query_block q = c.queries;
      pack_queries(
          queries, head, group, first, positions, joint ? positions : round_up(positions, lanes), observed, tokens,
          [&](int i) {
            return folded::weight(folding_, i, static_cast<int>(observed), static_cast<int>(tokens - observed) + i + 1);
          },
          q);
      index const visible = tokens - observed + first + positions;
      index const blocks = (visible + key_block - 1) / key_block;
      auto const sweep = [&](index count, bool backwards, auto const& f) {
        on.sweep((count + blocks_per_task - 1) / blocks_per_task, backwards, [&](index task, int worker) {
          for (index b = task * blocks_per_task; b < count && b < (task + 1) * blocks_per_task; ++b) f(b, worker);
        });
      };
      sweep(blocks, false, [&](index b, int worker) {
        measure(l.keys, head, q, b, c, c.room + worker * key_block * Layer::head_dim);
      });
      row_factors(q, blocks, c);
      if constexpr (pools_tokens<folded>) {
        keep_mass(q, blocks, past, c);
        index const reach = folded::kernel(folding_) / 2, last = visible + reach < past ? visible + reach : past;
        sweep((last + key_block - 1) / key_block, true,
              [&](index b, int) { fold_pooled(q, group, first, b, blocks, past, c, column, column_stride); });
      } else if constexpr (folded::linear) {
        sweep(blocks, true, [&](index b, int) { fold_linear(q, group, b, tokens, c, column, column_stride); });
      } else {
        sweep(blocks, true, [&](index b, int) { fold_states(q, group, first, b, c, column, column_stride); });
      }
    }
    finish(on, group, tokens, observed, c, column, column_stride, score);
  }

  // Columns before the first query.
  void start(int group, float* column, index column_stride) const {
    fragment state[states];
    if constexpr (folded::linear)
      state[0] = fragment(0.0f);
    else
      folded::init(folding_, state);
    for (int g = 0; g < group; ++g)
      for (int k = 0; k < states; ++k)
        for (index t = 0; t < column_stride; t += lanes) store(column + (g * states + k) * column_stride + t, state[k]);
  }

  // Exponentials, maxima and sums of one block of keys.
  template <class Keys>
  static void measure(Keys const& keys, index head, query_block const& q, index b, scratch const& c, float* room) {
    constexpr int D = head_dim_of<Keys>;
    index const first_key = b * key_block;
    key_tile const k = load_keys(keys, head, first_key, room);
    c.bad[b] = k.bad;
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

  // Exponentials of `lanes` rows from `row` on against one key of a block.
  static float const* exponential(query_block const& q, index b, index key, int row, scratch const& c) {
    int const strip = row / strip_rows * strip_rows;
    return c.e + b * key_block * q.padded + strip * key_block + key * q.strip(strip) + (row - strip);
  }

  // Where probabilities are pooled along the tokens before `past`: a row's factors become such that the sum over a
  // pool's exponentials is what the pool gives, and all pools of a row together have the row's mass.
  void keep_mass(query_block const& q, index blocks, index past, scratch const& c) const {
    index const kernel = folded::kernel(folding_), reach = kernel / 2;
    index const last = past < blocks * key_block ? past : blocks * key_block;
    for (int row = 0; row < q.padded; row += lanes) {
      fragment mass(0.0f), lost(0.0f);  // lost: what pools beyond the ends would have
      for (index b = 0; b * key_block < last; ++b) {
        fragment sum(0.0f);
        if ((b + 1) * key_block <= past)
          sum = load(c.total + b * q.padded + row);
        else
          for (index j = 0; b * key_block + j < past; ++j) sum += load(exponential(q, b, j, row, c));
        mass = fma(sum, load(c.most + b * q.padded + row), mass);
      }
      auto const lose = [&](index t) {
        index const to = t + reach < past - 1 ? t + reach : past - 1, from = t < reach ? 0 : t - reach;
        fragment const p =
            load(exponential(q, t / key_block, t % key_block, row, c)) * load(c.most + t / key_block * q.padded + row);
        lost = fma(p, fragment(static_cast<float>(kernel - (to - from + 1))), lost);
      };
      index const front = reach < last ? reach : last;
      for (index t = 0; t < front; ++t) lose(t);
      for (index t = past - reach < front ? front : past - reach; t < last; ++t) lose(t);
      fragment const spread = fragment(static_cast<float>(kernel)) * mass - lost;
      fragment const scale = where(fragment(0.0f) < spread, mass / spread, fragment(0.0f));
      for (index b = 0; b < blocks; ++b) {
        float* const m = c.most + b * q.padded + row;
        store(m, load(m) * scale);
      }
    }
  }

  // Adds the probabilities of one block of keys to the columns.
  static void fold_linear(query_block const& q, int group, index b, index tokens, scratch const& c, float* column,
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
            for (int row = first; row < last; row += lanes) part[j] = part[j] + load(key + row) * load(factor + row);
          }
        }
        index const t = b * key_block + j0;
        float* const out = column + g * column_stride + t;
        fragment const sums = sum_rows(part);
        if (tokens - t >= lanes)
          store(out, load(out) + sums);
        else
          for (int j = 0; j < tokens - t; ++j) out[j] += sums[j];
      }
  }

  // Folds the probabilities of one block of keys into the columns, a query after another: tiles of keys x rows are
  // turned, so that tokens lie in the lanes.
  void fold_states(query_block const& q, int group, index first, index b, scratch const& c, float* column,
                   index column_stride) const {
    float const* const factor = c.most + b * q.padded;
    for (index j0 = 0; j0 < key_block; j0 += lanes)
      for (int g = 0; g < group; ++g)
        update_tokens(q, g, first, column + g * states * column_stride + b * key_block + j0, column_stride,
                      [&](int row, fragment(&tile)[lanes]) {
                        float const* const e = exponential(q, b, j0, row, c);
                        int const width = q.strip(row / strip_rows * strip_rows);
                        fragment const f = load(factor + row);
                        KVSIEVE_UNROLL for (int j = 0; j < lanes; ++j) tile[j] = load(e + j * width) * f;
                      });
  }

  // The same with each row averaged along the tokens before `past`; pools read from the blocks beside their own.
  void fold_pooled(query_block const& q, int group, index first, index b, index blocks, index past, scratch const& c,
                   float* column, index column_stride) const {
    int const kernel = folded::kernel(folding_), reach = kernel / 2;
    index const last = past < blocks * key_block ? past : blocks * key_block;
    for (index j0 = 0; j0 < key_block && b * key_block + j0 < past; j0 += lanes)
      for (int g = 0; g < group; ++g)
        update_tokens(q, g, first, column + g * states * column_stride + b * key_block + j0, column_stride,
                      [&](int row, fragment(&tile)[lanes]) {
                        fragment p[lanes + folded::most_kernel - 1];
                        int const width = q.strip(row / strip_rows * strip_rows);
                        index const from = b * key_block + j0 - reach, to = from + lanes + kernel - 1;
                        index t = from;
                        for (; t < 0; ++t) p[t - from] = fragment(0.0f);
                        while (t < to && t < last) {
                          index const block = t / key_block, end = (block + 1) * key_block;
                          fragment const f = load(c.most + block * q.padded + row);
                          float const* e = exponential(q, block, t % key_block, row, c);
                          for (; t < end && t < to && t < last; ++t, e += width) p[t - from] = load(e) * f;
                        }
                        for (; t < to; ++t) p[t - from] = fragment(0.0f);
                        for (int j = 0; j < lanes; ++j) {
                          tile[j] = p[j];
                          for (int i = 1; i < kernel; ++i) tile[j] += p[j + i];
                        }
                      });
  }

  // Updates the states of `lanes` tokens of query head g, which lie at `column`, with all queries of the block;
  // fill(row, tile) gives the probabilities of rows [row, row + lanes), a fragment for each token. Rows of padding give
  // 0 and change nothing. Where the order of the queries is free, the tile is turned once for all rows.
  template <class Fill>
  KVSIEVE_INLINE void update_tokens(query_block const& q, int g, index first, float* column, index column_stride,
                                    Fill const& fill) const {
    fragment state[states];
    for (int k = 0; k < states; ++k) state[k] = load(column + k * column_stride);
    if constexpr (folded::in_order) {
      for (int w = 0; w < q.positions; w += lanes) {
        fragment tile[lanes];
        fill(g * q.row_stride + w, tile);
        transpose(tile);
        KVSIEVE_UNROLL for (int r = 0; r < lanes; ++r)
            folded::update(folding_, state, tile[r], static_cast<int>(first) + w + r);
      }
    } else {
      fragment part[lanes][states];
      for (int j = 0; j < lanes; ++j) folded::init(folding_, part[j]);
      for (int w = 0; w < q.positions; w += lanes) {
        fragment tile[lanes];
        fill(g * q.row_stride + w, tile);
        KVSIEVE_UNROLL for (int j = 0; j < lanes; ++j) folded::update(folding_, part[j], tile[j]);
      }
      fragment turned[states][lanes];
      KVSIEVE_UNROLL for (int k = 0; k < states; ++k) {
        KVSIEVE_UNROLL for (int j = 0; j < lanes; ++j) turned[k][j] = part[j][k];
        transpose(turned[k]);
      }
      KVSIEVE_UNROLL for (int r = 0; r < lanes; ++r) {
        fragment row[states];
        KVSIEVE_UNROLL for (int k = 0; k < states; ++k) row[k] = turned[k][r];
        folded::combine(folding_, state, row);
      }
    }
    for (int k = 0; k < states; ++k) store(column + k * column_stride, state[k]);
  }

  // Columns to scores: the accumulator's result, the group's, and NaN where a key is not finite.
  template <class Exec>
  void finish(Exec const& on, int group, index tokens, index observed, scratch const& c, float const* column,
              index column_stride, float* score) const {
    auto const seen = [&](index t) { return static_cast<float>(observed < tokens - t ? observed : tokens - t); };
    float const queries = static_cast<float>(observed);
    on.sweep(segments_of(tokens), false, [&](index segment, int) {
      index const last = (segment + 1) * segment_rows < tokens ? (segment + 1) * segment_rows : tokens;
      if constexpr (joint) {
        for (index t = segment * segment_rows; t < last; ++t) {
          float const state[1] = {column[t]};
          score[t] = grouped::result(folded::result(folding_, state, observation<float>{queries, seen(t)}), group);
        }
      } else {
        for (index t = segment * segment_rows; t < last; t += lanes) {
          float joined[lanes], each[lanes];
          for (int j = 0; j < lanes; ++j) each[j] = t + j < tokens ? seen(t + j) : 1.0f;
          observation<fragment> const o{queries, load(each)};
          for (int g = 0; g < group; ++g) {
            fragment state[states];
            for (int k = 0; k < states; ++k) state[k] = load(column + (g * states + k) * column_stride + t);
            store(g == 0 ? joined : each, folded::result(folding_, state, o));
            for (int j = 0; g > 0 && j < lanes; ++j) joined[j] = grouped::combine(joined[j], each[j]);
          }
          for (int j = 0; j < lanes && t + j < last; ++j) score[t + j] = grouped::result(joined[j], group);
        }
      }
      for (index b = segment * segment_rows / key_block; b * key_block < last; ++b)
        for (int j = 0; c.bad[b] != 0 && j < key_block; ++j)
          if ((c.bad[b] >> j & 1u) != 0) score[b * key_block + j] = __builtin_nanf("");
    });
  }

  task_numbers tasks_;
  typename scorer::params params_;
  typename folded::params folding_;
  scratch* all_ = nullptr;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
