// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of the per-query scorers, in three launches: the log-sum-exp of every observed query over segments of
// the keys, the join of its segments, and the probabilities folded by the accumulator and over the group. Logits are
// formed twice and never stored (once where logits themselves are folded); scratch is one number for each query and two
// for each query and segment.
#pragma once
#include <cmath>

#include <kvsieve/aggregate/accumulator.hpp>
#include <kvsieve/core/query_set.hpp>
#include <kvsieve/device/product_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Sets of queries that a view of a launch has room for.
inline constexpr int most_query_sets = 4;

/// One view of a per-query launch. Row r of a KV head is observed query r % observed of query head r / observed of its
/// group; its set says which keys it sees.
template <row_view Queries, row_view Keys>
struct queries_part {
  Keys keys;        ///< [heads, tokens, D]: the cache, and behind it the queries' own keys
  Queries queries;  ///< [heads * group, at least `observed`, D]; the last ones are observed
  float* score;     ///< [heads] rows of `stride`
  float* partial;   ///< [heads, segments, rows, 2]: largest logit, and the sum of 2^(logit - largest)
  float* mass;      ///< [heads, rows]: log2 of the sum of 2^logit; NaN: the query is passed over
  index stride;
  int observed, group, segments, segment_tokens;
  int cached;       ///< tokens that are scored
  int set_count;    ///< of `set`
  bool restricted;  ///< some query does not see all keys up to its last
  query_set set[most_query_sets];

  [[nodiscard]] KVSIEVE_HD int tokens() const { return static_cast<int>(keys.extent(1)); }
  [[nodiscard]] KVSIEVE_HD int rows() const { return observed * group; }
  /// Which set a row's query is of, and its place in it.
  struct place {
    int set, query;
  };
  [[nodiscard]] KVSIEVE_HD place place_of(int row) const {
    int query = row % observed, s = 0;
    for (; s + 1 < set_count && query >= set[s].count; ++s) query -= set[s].count;
    return {s, query};
  }
  /// Keys that a row's query sees.
  [[nodiscard]] KVSIEVE_HD seen_keys seen_of(int row) const {
    place const at = place_of(row);
    return set[at.set].seen(at.query, cached);
  }
  /// True when `seen` holds token t.
  [[nodiscard]] KVSIEVE_HD bool sees(seen_keys const& seen, int t) const {
    return restricted ? seen.sees(t) : t <= seen.last;
  }
  /// Calls f(what the last of them sees) for every set that rows [first, last) have queries of.
  template <class F>
  KVSIEVE_HD void each_set(int first, int last, F const& f) const {
    bool const one_head = first / observed == (last - 1) / observed;
    int const from = one_head ? first % observed : 0, to = one_head ? (last - 1) % observed : observed - 1;
    for (int s = 0, begin = 0; s < set_count; begin += set[s++].count)
      if (begin <= to && from < begin + set[s].count)
        f(set[s].seen((to < begin + set[s].count ? to - begin : set[s].count - 1), cached));
  }
  /// Largest token that a query of rows [first, last) sees.
  [[nodiscard]] KVSIEVE_HD int last_seen(int first, int last) const {
    int most = -1;
    each_set(first, last, [&](seen_keys const& seen) { most = most < seen.last ? seen.last : most; });
    return most;
  }
  /// True when one of rows [first, last) sees one of tokens [from, to).
  [[nodiscard]] KVSIEVE_HD bool sees_some(int first, int last, int from, int to) const {
    bool some = false;
    each_set(first, last, [&](seen_keys const& seen) { some = some || seen.sees_some(from, to); });
    return some;
  }
};

template <row_view Queries, row_view Keys>
struct queries_args {
  batch<queries_part<Queries, Keys>> views;
};
template <accumulator Aggregate, row_view Queries, row_view Keys>
struct fold_queries_args {
  batch<queries_part<Queries, Keys>> views;
  typename Aggregate::params params;
};

/// Segments into which the keys are cut for the first launch, so that few queries still make many blocks. They depend
/// on the shape alone.
struct key_segments {
  int count = 1, tokens = 0;
};
[[nodiscard]] KVSIEVE_HD constexpr key_segments segments_of(index rows, int tokens) {
  index const by_rows = rows >= 4096 ? 1 : 4096 / (rows < 64 ? 64 : rows);  // 64 segments for up to 64 rows
  int const by_tokens = pieces(tokens, 256), wanted = by_rows < by_tokens ? static_cast<int>(by_rows) : by_tokens;
  int const length = pieces(pieces(tokens, wanted < 1 ? 1 : wanted), 64) * 64;
  return {pieces(tokens, length < 64 ? 64 : length), length};
}

/// Block (row tile + row tiles * segment, head, view): a part of the log-sum-exp of its rows.
template <row_view Queries, row_view Keys>
struct sum_exponentials_body {
  template <block Block>
  struct shared {
    tile_of_logits<Block, Queries, Keys> tile;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, queries_args<Queries, Keys> const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const& view = a.views.part[w.z];
    int const rows = view.rows(), row_tiles = pieces(rows, shape::rows), segment = w.x / row_tiles;
    if (segment >= view.segments) return;
    int const first_row = w.x % row_tiles * shape::rows;
    int const last_row = rows - first_row < shape::rows ? rows : first_row + shape::rows;
    int const begin = segment * view.segment_tokens;
    int const end_of_segment =
        view.tokens() - begin < view.segment_tokens ? view.tokens() : begin + view.segment_tokens;
    int const seen = view.last_seen(first_row, last_row) + 1, end = seen < end_of_segment ? seen : end_of_segment;
    auto const tile = b.template tile<shape::columns>();

    float largest[4], sum[4];
    bool passed_over[4] = {};
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      largest[j] = -__builtin_inff();
      sum[j] = 0;
    }
    s.tile.reset(b);
    int parity = 0;
    for (int first = begin; first < end; first += shape::tokens) {
      if (view.restricted && !view.sees_some(first_row, last_row, first, first + shape::tokens)) continue;
      float logit[4][4];
      s.tile.compute(b, view, w.y, first_row, last_row, first, end, parity, logit);
      KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
        int const slot = tile.index() * 4 + j, row = first_row + slot;
        if (row >= last_row) continue;
        passed_over[j] = s.tile.bad_query[parity][slot] != 0;
        seen_keys const visible = view.seen_of(row);
        float top = largest[j];
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
          int const column = tile.rank() * 4 + i, token = first + column;
          bool const counts = token < end && view.sees(visible, token) && s.tile.bad_key[parity][column] == 0;
          if (!counts || !finite(logit[j][i])) logit[j][i] = -__builtin_inff();
          top = max(top, logit[j][i]);
        }
        if (top == -__builtin_inff()) continue;
        sum[j] *= ::exp2f(largest[j] - top);
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) sum[j] += ::exp2f(logit[j][i] - top);
        largest[j] = top;
      }
      parity ^= 1;
    }
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      float const top = tile.all_max(largest[j]);
      float const all = tile.all_sum(top == -__builtin_inff() ? 0.0f : sum[j] * ::exp2f(largest[j] - top));
      int const row = first_row + tile.index() * 4 + j;
      if (row >= last_row || tile.rank() != 0) continue;
      float* const out = view.partial + ((index{w.y} * view.segments + segment) * rows + row) * 2;
      out[0] = passed_over[j] ? __builtin_nanf("") : top;
      out[1] = all;
    }
  }
};

/// Block (chunk of rows, head, view): joins the segments of its rows in ascending order.
template <row_view Queries, row_view Keys>
struct join_exponentials_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, queries_args<Queries, Keys> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const rows = view.rows(), row = w.x * Block::threads + b.rank();
    if (row >= rows) return;
    float const* const partial = view.partial + index{w.y} * view.segments * rows * 2;
    float top = -__builtin_inff(), sum = 0;
    bool passed_over = false;
    for (int i = 0; i < view.segments; ++i) {
      float const largest = partial[(index{i} * rows + row) * 2], part = partial[(index{i} * rows + row) * 2 + 1];
      if (largest != largest) passed_over = true;
      if (!(largest > -__builtin_inff())) continue;
      float const next = max(top, largest);
      sum = sum * ::exp2f(top - next) + part * ::exp2f(largest - next);
      top = next;
    }
    bool const usable = !passed_over && sum > 0.0f;
    view.mass[index{w.y} * rows + row] = usable ? top + ::log2f(sum) : __builtin_nanf("");
  }
};

/// Block (token tile, head, view): the scores of its tokens. Linear accumulators under a group policy that adds fold
/// all query heads at once, others one query head after the other; neither stores a column of probabilities.
template <accumulator Aggregate, class Group, class Form, row_view Queries, row_view Keys>
struct fold_queries_body {
  static_assert(Form::normalises || takes_logits<Aggregate>,
                "kvsieve::row_form::logits goes with an aggregate policy that is linear, or kvsieve::aggregate::max");
  static constexpr bool at_once = Aggregate::linear && Group::additive;
  static constexpr int states = Aggregate::states;
  using params = typename Aggregate::params;

  template <block Block>
  struct shared {
    using shape = tile_shape<Block::threads>;
    tile_of_logits<Block, Queries, Keys> tile;
    float state[shape::lines][states][shape::tokens];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, fold_queries_args<Aggregate, Queries, Keys> const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const& view = a.views.part[w.z];
    int const tokens = view.cached;
    if (w.x >= pieces(tokens, shape::tokens)) return;
    int const rows = view.rows(), first = w.x * shape::tokens, own = first + b.rank();
    bool const has_token = b.rank() < shape::tokens && own < tokens;
    auto const tile = b.template tile<shape::columns>();
    [[maybe_unused]] float const* const mass = view.mass + index{w.y} * rows;
    float joined = 0;
    bool bad = false;
    int parity = 0;
    s.tile.reset(b);

    int const step = at_once ? rows : view.observed;
    for (int begin = 0; begin < rows; begin += step) {
      // A thread's part for four tokens, and the whole of its own token where lines are joined after every tile.
      float state[4][states], whole[states];
      KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) start(a.params, state[i]);
      start(a.params, whole);
      for (int first_row = begin; first_row < begin + step; first_row += shape::rows) {
        int const last_row = begin + step - first_row < shape::rows ? begin + step : first_row + shape::rows;
        // The first tile is formed in any case: it tells which keys are not finite, and syncs after states were read.
        if (first_row != begin && !view.sees_some(first_row, last_row, first, first + shape::tokens)) continue;
        float logit[4][4];
        s.tile.compute(b, view, w.y, first_row, last_row, first, tokens, parity, logit);
        if (has_token) bad = bad || s.tile.bad_key[parity][b.rank()] != 0;
        KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
          int const slot = tile.index() * 4 + j, row = first_row + slot;
          if (row >= last_row) continue;
          int const query = row % view.observed;
          auto const at = view.place_of(row);
          seen_keys const seen = view.set[at.set].seen(at.query, view.cached);
          float weight = Aggregate::weight(a.params, query, view.observed, seen.count());
          if (view.set[at.set].weight != 1.0f) weight *= query_factor<Aggregate>(view.set[at.set].weight);
          float log_mass = 0;
          if constexpr (Form::normalises) {
            log_mass = mass[row];
            if (log_mass != log_mass) continue;
          } else {
            if (s.tile.bad_query[parity][slot] != 0) continue;
            weight *= 0.6931471805599453f;  // logits come in units of log2
          }
          if (weight == 0.0f) continue;
          KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
            if (!view.sees(seen, first + tile.rank() * 4 + i) || !finite(logit[j][i])) continue;
            float const x = Form::normalises ? ::exp2f(logit[j][i] - log_mass) : logit[j][i];
            update(a.params, state[i], weight * x, query);
          }
        }
        parity ^= 1;
        if constexpr (in_order()) {
          publish(tile, state, s);
          b.sync();
          if (has_token) join_lines(a.params, whole, b.rank(), s);
          KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) start(a.params, state[i]);
        }
      }
      if constexpr (!in_order()) {
        publish(tile, state, s);
        b.sync();
      }
      if (has_token) {
        if constexpr (!in_order()) join_lines(a.params, whole, b.rank(), s);
        observation<float> seen{0, 0};
        for (int i = 0; i < view.set_count; ++i) {
          seen.queries += view.set[i].weight * static_cast<float>(view.set[i].count);
          seen.visible += view.set[i].weight * static_cast<float>(view.set[i].observers(own, view.cached));
        }
        float const result = Aggregate::result(a.params, whole, seen);
        joined = begin == 0 ? result : Group::combine(joined, result);
      }
    }
    if (has_token) view.score[w.y * view.stride + own] = bad ? __builtin_nanf("") : Group::result(joined, view.group);
  }

 private:
  KVSIEVE_HD static constexpr bool in_order() {
    if constexpr (Aggregate::linear)
      return false;
    else
      return Aggregate::in_order;
  }
  KVSIEVE_HD static void start(params const& p, float (&state)[states]) {
    if constexpr (Aggregate::linear)
      state[0] = 0.0f;
    else if constexpr (Form::normalises)
      Aggregate::init(p, state);
    else
      Aggregate::init_lowest(p, state);
  }
  KVSIEVE_HD static void update(params const& p, float (&state)[states], float x, int query) {
    if constexpr (Aggregate::linear)
      state[0] += x;
    else if constexpr (Aggregate::in_order)
      Aggregate::update(p, state, x, query);
    else
      Aggregate::update(p, state, x);
  }
  // Line l of a tile holds its rows 4 l to 4 l + 3, so joining lines in ascending order is the order of the queries.
  template <class Tile, class Shared>
  KVSIEVE_HD static void publish(Tile const& tile, float const (&state)[4][states], Shared& s) {
    KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
      KVSIEVE_UNROLL for (int k = 0; k < states; ++k) s.state[tile.index()][k][tile.rank() * 4 + i] = state[i][k];
    }
  }
  template <class Shared>
  KVSIEVE_HD static void join_lines(params const& p, float (&whole)[states], int token, Shared const& s) {
    for (int line = 0; line < Shared::shape::lines; ++line) {
      float part[states];
      KVSIEVE_UNROLL for (int k = 0; k < states; ++k) part[k] = s.state[line][k][token];
      if constexpr (Aggregate::linear)
        whole[0] += part[0];
      else
        Aggregate::combine(p, whole, part);
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
