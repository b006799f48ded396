// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of score::non_causal_attention: attention inside chunks of tokens, all queries of a group against all
// keys. Probabilities are formed in tiles and never stored; scratch is a number for each query.
#pragma once
#include <kvsieve/device/tile/product_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of such a launch.
template <row_view Queries, row_view Keys>
struct own_chunk_part {
  Keys keys;        ///< [heads, tokens, D]
  Queries queries;  ///< [heads * group, those of the last tokens, D]
  float* score;     ///< [heads] rows of `stride`
  float* mass;      ///< [heads, (last - first) * group]: log2 of a query's sum of 2^logit; NaN: it is passed over
  index stride;
  int tokens, group;
  int first, last;  ///< tokens of chunks
};
template <row_view Queries, row_view Keys>
struct own_chunk_args {
  batch<own_chunk_part<Queries, Keys>> views;
  int chunk;
  bool filled_up;  ///< zero rows fill a short last chunk
};

namespace own_chunk {
/// Queries of a view that end where a chunk does.
template <row_view Queries>
struct queries_to {
  Queries const* all;
  index end;
  [[nodiscard]] KVSIEVE_HD index extent(int i) const { return i == 1 ? end : all->extent(i); }
  KVSIEVE_HD friend auto row_of(queries_to const& q, index head, index i) {
    using kvsieve::row_of;
    return row_of(*q.all, head, i);
  }
};
/// A chunk as a tile of logits sees it: row r is query r % observed of query head r / observed.
template <row_view Queries, row_view Keys>
struct rows_of_chunk {
  Keys keys;
  queries_to<Queries> queries;
  int group, observed;
  int from, to, absent;
  [[nodiscard]] KVSIEVE_HD int rows() const { return observed * group; }
};
template <row_view Queries, row_view Keys>
[[nodiscard]] KVSIEVE_HD inline rows_of_chunk<Queries, Keys> cut(own_chunk_args<Queries, Keys> const& a,
                                                                 own_chunk_part<Queries, Keys> const& view, int chunk) {
  int const from = view.first + chunk * a.chunk, left = view.last - from;
  int const length = left < a.chunk ? (left < 0 ? 0 : left) : a.chunk, to = from + length;
  return {view.keys,
          {&view.queries, view.queries.extent(1) - view.tokens + to},
          view.group,
          length,
          from,
          to,
          a.filled_up ? a.chunk - length : 0};
}
/// A tile's logits are divided by sqrt(D), these are not.
template <row_view Keys>
[[nodiscard]] KVSIEVE_HD inline float unit() {
  return ::sqrtf(static_cast<float>(head_dim_of<Keys>));
}
}  // namespace own_chunk

/// Block (row tile + row tiles * chunk, head, view): the log-sum-exp of its rows over the keys of the chunk.
template <row_view Queries, row_view Keys>
struct chunk_mass_body {
  template <block Block>
  struct shared {
    tile_of_logits<Block, Queries, Keys> tile;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, own_chunk_args<Queries, Keys> const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const& view = a.views.part[w.z];
    int const tiles = pieces(a.chunk * view.group, shape::rows);
    auto const c = own_chunk::cut(a, view, w.x / tiles);
    int const first_row = w.x % tiles * shape::rows;
    if (first_row >= c.rows()) return;
    int const last_row = c.rows() - first_row < shape::rows ? c.rows() : first_row + shape::rows;
    auto const tile = b.template tile<shape::columns>();
    float const unit = own_chunk::unit<Keys>();
    float largest[4], sum[4];
    bool passed_over[4] = {};
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      largest[j] = -__builtin_inff();
      sum[j] = 0;
    }
    s.tile.reset(b);
    int parity = 0;
    for (int first = c.from; first < c.to; first += shape::tokens) {
      float logit[4][4];
      s.tile.compute(b, c, w.y, first_row, last_row, first, c.to, parity, logit);
      KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
        passed_over[j] = s.tile.bad_query[parity][tile.index() * 4 + j] != 0;
        float top = largest[j];
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
          int const column = tile.rank() * 4 + i;
          logit[j][i] *= unit;
          bool const counts = first + column < c.to && s.tile.bad_key[parity][column] == 0 && finite(logit[j][i]);
          if (!counts) logit[j][i] = -__builtin_inff();
          top = max(top, logit[j][i]);
        }
        if (top == -__builtin_inff()) continue;
        sum[j] *= ::exp2f(largest[j] - top);
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) sum[j] += ::exp2f(logit[j][i] - top);
        largest[j] = top;
      }
      parity ^= 1;
    }
    float* const mass =
        view.mass + index{w.y} * (view.last - view.first) * view.group + index{c.from - view.first} * view.group;
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      float top = tile.all_max(largest[j]);
      float all = tile.all_sum(top == -__builtin_inff() ? 0.0f : sum[j] * ::exp2f(largest[j] - top));
      if (c.absent > 0) {  // keys of logit 0
        float const with = max(top, 0.0f);
        all = (top == -__builtin_inff() ? 0.0f : all * ::exp2f(top - with)) +
              static_cast<float>(c.absent) * ::exp2f(-with);
        top = with;
      }
      int const row = first_row + tile.index() * 4 + j;
      if (row < last_row && tile.rank() == 0)
        mass[row] = passed_over[j] || !(all > 0.0f) ? __builtin_nanf("") : top + ::log2f(all);
    }
  }
};

/// Block (token tile + token tiles * chunk, head, view): the scores of its tokens; the first block also those of tokens
/// in no chunk.
template <row_view Queries, row_view Keys>
struct chunk_fold_body {
  template <block Block>
  struct shared {
    using shape = tile_shape<Block::threads>;
    tile_of_logits<Block, Queries, Keys> tile;
    float sum[shape::lines][shape::tokens];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, own_chunk_args<Queries, Keys> const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const& view = a.views.part[w.z];
    float* const score = view.score + w.y * view.stride;
    if (w.x == 0)
      for (int t = b.rank(); t < view.tokens; t += Block::threads)
        if (t < view.first || t >= view.last) score[t] = 0;
    int const tiles = pieces(a.chunk, shape::tokens);
    auto const c = own_chunk::cut(a, view, w.x / tiles);
    int const first = c.from + w.x % tiles * shape::tokens;
    if (first >= c.to) return;
    auto const tile = b.template tile<shape::columns>();
    float const unit = own_chunk::unit<Keys>();
    float const* const mass =
        view.mass + index{w.y} * (view.last - view.first) * view.group + index{c.from - view.first} * view.group;
    bool bad = false;
    float sum[4] = {};
    s.tile.reset(b);
    int parity = 0;
    for (int first_row = 0; first_row < c.rows(); first_row += shape::rows) {
      int const last_row = c.rows() - first_row < shape::rows ? c.rows() : first_row + shape::rows;
      float logit[4][4];
      s.tile.compute(b, c, w.y, first_row, last_row, first, c.to, parity, logit);
      if (b.rank() < shape::tokens) bad = bad || s.tile.bad_key[parity][b.rank()] != 0;
      KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
        int const row = first_row + tile.index() * 4 + j;
        if (row >= last_row) continue;
        float const log_mass = mass[row];
        if (log_mass != log_mass) continue;
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
          float const x = logit[j][i] * unit;
          sum[i] += finite(x) ? ::exp2f(x - log_mass) : 0.0f;
        }
      }
      parity ^= 1;
    }
    KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) s.sum[tile.index()][tile.rank() * 4 + i] = sum[i];
    b.sync();
    int const own = first + b.rank();
    if (b.rank() >= shape::tokens || own >= c.to) return;
    float all = 0;
    for (int line = 0; line < shape::lines; ++line) all += s.sum[line][b.rank()];
    // What the queries of the rows give that fill the chunk up.
    float const absent = static_cast<float>(c.absent) / static_cast<float>(c.observed + c.absent);
    score[own] = bad ? __builtin_nanf("") : absent + all / static_cast<float>(view.group);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
