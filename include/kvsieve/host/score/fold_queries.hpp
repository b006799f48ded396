// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What becomes of the exponentials (or logits) of a block of observed queries: rows are scaled by what their sums
// turned out to be and folded into columns, a column for each query head and float of state, or one for a whole group
// where folding and joining are both sums.
#pragma once
#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/host/score/query_block.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// What one task over a KV head works in.
struct query_scratch {
  query_block queries;
  float* e;                 ///< [block, strip, key, row]: exponentials, or logits
  float *most, *total;      ///< [block, row]: the largest logit, later the row's factor; the sum of exponentials
  float* column;            ///< [head of the group, state, token]
  float* room;              ///< [worker, key, D]: keys as floats
  double* measured;         ///< [segment, statistic]: of one KV head
  unsigned long long* bad;  ///< [block]: bit j: key j is not finite; all bits also where no query saw the block
};

/// Exponentials of `lanes` rows from `row` on against one key of a block.
KVSIEVE_INLINE float const* exponential(query_block const& q, index b, index key, int row, query_scratch const& c) {
  int const strip = row / strip_rows * strip_rows;
  return c.e + b * key_block * q.padded + strip * key_block + key * q.strip(strip) + (row - strip);
}

/// The largest exponential of a group of `group` query heads for each position and key of a block, in the rows of all
/// of them, with its largest logit and its sum.
inline void join_exponentials(query_block const& q, index b, int group, query_scratch const& c) {
  float *const most = c.most + b * q.padded, *const total = c.total + b * q.padded;
  for (int w = 0; w < q.positions; ++w) {
    float largest = -__builtin_inff();
    auto const each_row = [&](auto const& f) {
      for (int g = 0; g < group; ++g)
        if (int const row = g * q.row_stride + w; q.row_weight[row] != 0.0f) f(row);
    };
    each_row([&](int row) { largest = kvsieve::max(largest, most[row]); });
    if (largest == -__builtin_inff()) continue;
    each_row([&](int row) { most[row] = ::exp2f(most[row] - largest); });
    float sum = 0.0f;
    for (index key = 0; key < key_block; ++key) {
      float x = 0.0f;
      each_row([&](int row) { x = kvsieve::max(x, *exponential(q, b, key, row, c) * most[row]); });
      each_row([&](int row) { *const_cast<float*>(exponential(q, b, key, row, c)) = x; });
      sum += x;
    }
    each_row([&](int row) {
      most[row] = largest;
      total[row] = sum;
    });
  }
}

/// The columns of one KV head.
struct query_columns {
  float* data;
  index stride;  ///< of a column
  int group;     ///< query heads
  index tokens;  ///< that are scored
  index past;    ///< of these, the ones before the scorer's own tail
};

/// What query positions [first, first + positions) see, and what a probability of each is multiplied by for its set's
/// weight. True when some see less than all keys up to their last.
template <class Folded>
bool place_queries(cs::span<query_set const> sets, int first, int positions, int cached, seen_keys* seen,
                   float* weight) {
  bool restricted = false;
  int before = 0;
  for (query_set const& set : sets) {
    for (int w = before < first ? 0 : before - first; w < positions && first + w < before + set.count; ++w) {
      seen[w] = set.seen(first + w - before, cached);
      weight[w] = set.weight == 1.0f ? 1.0f : query_factor<Folded>(set.weight);
      restricted = restricted || seen[w].own > 0;
    }
    before += set.count;
  }
  return restricted;
}

template <class Folded, class Grouped, class Form>
struct query_folds {
  static constexpr int lanes = fragment::lanes;
  static constexpr int states = Folded::states;
  static constexpr bool joint = Folded::linear && Grouped::additive;
  static constexpr bool in_any_order = [] {
    if constexpr (Folded::linear)
      return true;
    else
      return !Folded::in_order;
  }();
  /// Folding logits, what a query does not see is below all.
  static constexpr bool lowest = !Form::normalises && !Folded::linear;

  typename Folded::params const& folding;

  /// The state of a token that no query gave anything.
  template <class S>
  KVSIEVE_INLINE void begin(S (&state)[states]) const {
    if constexpr (Folded::linear)
      state[0] = S(0.0f);
    else if constexpr (lowest)
      Folded::init_lowest(folding, state);
    else
      Folded::init(folding, state);
  }

  /// Columns before the first query.
  void start(query_columns const& column) const {
    fragment state[states];
    begin(state);
    if constexpr (joint)
      for (index t = 0; t < column.tokens; ++t) column.data[t] = 0.0f;
    else
      for (int g = 0; g < column.group; ++g)
        for (int k = 0; k < states; ++k)
          for (index t = 0; t < column.stride; t += lanes)
            store(column.data + (g * states + k) * column.stride + t, state[k]);
  }

  /// Joins the blocks' maxima and sums: afterwards `most` of a block holds what its exponentials are multiplied by.
  static void row_factors(query_block const& q, index blocks, query_scratch const& c) {
    for (int row = 0; row < q.padded; row += lanes) {
      fragment const weight = load(q.row_weight + row);
      if constexpr (!Form::normalises) {
        // Rows without weight hold the lowest value, which stays that.
        fragment const factor = lowest ? where(weight == fragment(0.0f), fragment(1.0f), weight) : weight;
        for (index b = 0; b < blocks; ++b) store(c.most + b * q.padded + row, factor);
        continue;
      }
      fragment most(-__builtin_inff()), sum(0.0f);
      for (index b = 0; b < blocks; ++b) most = max(most, load(c.most + b * q.padded + row));
      for (index b = 0; b < blocks; ++b)
        sum = fma(load(c.total + b * q.padded + row), exp2(load(c.most + b * q.padded + row) - most), sum);
      fragment const factor = where(fragment(0.0f) < sum, weight / sum, fragment(0.0f));
      for (index b = 0; b < blocks; ++b) {
        float* const m = c.most + b * q.padded + row;
        store(m, exp2(load(m) - most) * factor);
      }
    }
  }

  /// Where probabilities are pooled along the tokens before `past`: a row's factors become such that the sum over a
  /// pool's exponentials is what the pool gives, and all pools of a row together have the row's mass.
  void keep_mass(query_block const& q, index blocks, index past, query_scratch const& c) const {
    index const kernel = Folded::kernel(folding), reach = kernel / 2;
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

  /// Adds the rows of one block of keys to the columns.
  static void fold_linear(query_block const& q, index b, query_scratch const& c, query_columns const& column) {
    float const* const factor = c.most + b * q.padded;
    float const* const e = c.e + b * key_block * q.padded;
    index const tokens = column.tokens;
    for (index j0 = 0; j0 < key_block && b * key_block + j0 < tokens; j0 += lanes)
      for (int g = 0; g < (joint ? 1 : column.group); ++g) {
        int const from = joint ? 0 : g * q.row_stride, to = joint ? q.padded : from + q.row_stride;
        fragment part[lanes];
        KVSIEVE_UNROLL for (int j = 0; j < lanes; ++j) part[j] = fragment(0.0f);
        for (int strip = from / strip_rows * strip_rows; strip < to; strip += strip_rows) {
          int const width = q.strip(strip), first = from > strip ? from : strip;
          int const last = to < strip + width ? to : strip + width;
          float const* const keys = e + strip * key_block + j0 * width - strip;
          for (int row = first; row < last; row += lanes) {
            fragment const f = pinned(load(factor + row));
            KVSIEVE_UNROLL for (int j = 0; j < lanes; ++j) part[j] = part[j] + load(keys + j * width + row) * f;
          }
        }
        index const t = b * key_block + j0;
        float* const out = column.data + g * column.stride + t;
        fragment const sums = sum_rows(part);
        if (tokens - t >= lanes)
          store(out, load(out) + sums);
        else
          for (int j = 0; j < tokens - t; ++j) out[j] += sums[j];
      }
  }

  /// Folds the rows of one block of keys into the columns, a query after another, the first of them query `first`:
  /// tiles of keys x rows are turned, so that tokens lie in the lanes.
  void fold_states(query_block const& q, index first, index b, query_scratch const& c,
                   query_columns const& column) const {
    float const* const factor = c.most + b * q.padded;
    for (index j0 = 0; j0 < key_block; j0 += lanes)
      for (int g = 0; g < column.group; ++g)
        update_tokens(q, g, first, column, b * key_block + j0, [&](int row, fragment(&tile)[lanes]) {
          float const* const e = exponential(q, b, j0, row, c);
          int const width = q.strip(row / strip_rows * strip_rows);
          fragment const f = load(factor + row);
          KVSIEVE_UNROLL for (int j = 0; j < lanes; ++j) tile[j] = load(e + j * width) * f;
        });
  }

  /// The same with each row averaged along the tokens before `past`; pools read from the blocks beside their own.
  void fold_pooled(query_block const& q, index first, index b, index blocks, query_scratch const& c,
                   query_columns const& column) const {
    int const kernel = Folded::kernel(folding), reach = kernel / 2;
    index const past = column.past, last = past < blocks * key_block ? past : blocks * key_block;
    for (index j0 = 0; j0 < key_block && b * key_block + j0 < past; j0 += lanes)
      for (int g = 0; g < column.group; ++g)
        update_tokens(q, g, first, column, b * key_block + j0, [&](int row, fragment(&tile)[lanes]) {
          fragment p[lanes + Folded::most_kernel - 1];
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

 private:
  // Updates the states of `lanes` tokens from `token` on of query head g with all queries of the block; fill(row, tile)
  // gives what rows [row, row + lanes) fold, a fragment for each token. Rows of padding change nothing. Where the order
  // of the queries is free, the tile is turned once for all rows.
  template <class Fill>
  KVSIEVE_INLINE void update_tokens(query_block const& q, int g, index first, query_columns const& columns, index token,
                                    Fill const& fill) const {
    float* const column = columns.data + g * states * columns.stride + token;
    fragment state[states];
    for (int k = 0; k < states; ++k) state[k] = load(column + k * columns.stride);
    if constexpr (!in_any_order) {
      for (int w = 0; w < q.positions; w += lanes) {
        fragment tile[lanes];
        fill(g * q.row_stride + w, tile);
        transpose(tile);
        KVSIEVE_UNROLL for (int r = 0; r < lanes; ++r)
            Folded::update(folding, state, tile[r], static_cast<int>(first) + w + r);
      }
    } else {
      fragment part[lanes][states];
      for (int j = 0; j < lanes; ++j) begin(part[j]);
      for (int w = 0; w < q.positions; w += lanes) {
        fragment tile[lanes];
        fill(g * q.row_stride + w, tile);
        KVSIEVE_UNROLL for (int j = 0; j < lanes; ++j) Folded::update(folding, part[j], tile[j]);
      }
      fragment turned[states][lanes];
      KVSIEVE_UNROLL for (int k = 0; k < states; ++k) {
        KVSIEVE_UNROLL for (int j = 0; j < lanes; ++j) turned[k][j] = part[j][k];
        transpose(turned[k]);
      }
      KVSIEVE_UNROLL for (int r = 0; r < lanes; ++r) {
        fragment row[states];
        KVSIEVE_UNROLL for (int k = 0; k < states; ++k) row[k] = turned[k][r];
        Folded::combine(folding, state, row);
      }
    }
    for (int k = 0; k < states; ++k) store(column + k * columns.stride, state[k]);
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
