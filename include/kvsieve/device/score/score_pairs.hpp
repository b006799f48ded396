// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of the scores that hold keys against each other (redundancy), behind those of the mean unit key: norms,
// the last other key that is alike, and what is left of the mean cosines. No pair is stored.
#pragma once
#include <kvsieve/device/call/scores_part.hpp>
#include <kvsieve/device/tile/product_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of such a launch. Keys are the queries of a tile of products as well: one head, all tokens.
template <row_view Keys>
struct pairs_part {
  Keys keys, queries;  ///< the same [heads, tokens, D]
  float* score;        ///< [heads] rows of `stride`: the mean cosine with all keys, then what is left of it
  float* norm;         ///< the same
  float* cosine;       ///< the same: with the last key that is alike
  int* last_alike;     ///< the same: which that is, -1: none
  index stride;
  int observed, group;  ///< tokens, and 1
};
template <class Score, row_view Keys>
struct pairs_args {
  batch<pairs_part<Keys>> views;
  typename Score::params params;
};

namespace pair_scores {
/// What a norm divides by.
[[nodiscard]] KVSIEVE_HD inline float floored(float norm) { return max(norm, 1e-8f); }
}  // namespace pair_scores

/// Block (segment, head, view): the norms of its keys.
template <class Score, row_view Keys>
struct norm_rows_body {
  static constexpr int D = head_dim_of<Keys>, width = row_lanes<D>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, pairs_args<Score, Keys> const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    auto const tile = b.template tile<width>();
    float* const norm = view.norm + w.y * view.stride;
    int const first = w.x * segment_scores,
              last = view.observed - first < segment_scores ? view.observed : first + segment_scores;
    for (int t = first + tile.index(); t < last; t += Block::threads / width) {
      auto const key = row_slice<D>::load(row_of(view.keys, w.y, t), tile.rank());
      fragment squares = splat(0.0f);
      KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) squares = squares + Score::weigh_term(key.part[i]);
      float const sum = tile.all_sum(device::sum(squares));
      if (tile.rank() == 0) norm[t] = Score::weigh(sum);
    }
  }
};

/// Block (row tile, head, view): for each of its keys the last other one that is alike. Tiles of the others come from
/// the last one back, until all have found theirs.
template <class Score, row_view Keys>
struct last_alike_body {
  static constexpr int D = head_dim_of<Keys>;

  template <block Block>
  struct shared {
    tile_of_logits<Block, Keys, Keys> tile;
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, pairs_args<Score, Keys> const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const& view = a.views.part[w.z];
    int const tokens = view.observed, first_row = w.x * shape::rows;
    if (first_row >= tokens) return;
    int const last_row = tokens - first_row < shape::rows ? tokens : first_row + shape::rows;
    auto const tile = b.template tile<shape::columns>();
    float const* const norm = view.norm + w.y * view.stride;
    // What a tile's products are multiplied by to be products of keys.
    float const unit = ::sqrtf(static_cast<float>(D)) * 0.6931471805599453f;
    float own[4];
    bool open[4];
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      int const row = first_row + tile.index() * 4 + j;
      own[j] = row < last_row ? norm[row] : __builtin_inff();
      open[j] = finite(own[j]);
      if (row < last_row && tile.rank() == 0) view.last_alike[w.y * view.stride + row] = -1;
    }
    s.tile.reset(b);
    int parity = 0;
    for (int first = (tokens - 1) / shape::tokens * shape::tokens; first >= 0; first -= shape::tokens) {
      if (b.all_max(open[0] || open[1] || open[2] || open[3] ? 1.0f : 0.0f, s.reduce) == 0.0f) return;
      float product[4][4];
      s.tile.compute(b, view, w.y, first_row, last_row, first, tokens, parity, product);
      parity ^= 1;
      KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
        if (!open[j]) continue;
        int const row = first_row + tile.index() * 4 + j;
        float found = -1, cosine = 0;
        KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
          int const column = tile.rank() * 4 + i, token = first + column;
          if (token >= tokens || token == row) continue;
          float const x = product[j][i] * unit / (pair_scores::floored(own[j]) * pair_scores::floored(norm[token]));
          if (!Score::alike(a.params, x)) continue;  // NaN is not
          found = static_cast<float>(column);
          cosine = x;
        }
        float const last = tile.all_max(found);
        if (last < 0.0f) continue;
        open[j] = false;
        if (found != last) continue;
        view.last_alike[w.y * view.stride + row] = first + static_cast<int>(found);
        view.cosine[w.y * view.stride + row] = cosine;
      }
    }
  }
};

/// Block (as many tokens as threads, head, view): the mean cosines without the token itself and without the pairs that
/// do not count, added in the order of the tokens; then their exponentials.
template <class Score, row_view Keys>
struct exempt_pairs_body {
  template <block Block>
  struct shared {
    int other[Block::threads];
    float cosine[Block::threads];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, pairs_args<Score, Keys> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    int const tokens = view.observed, first = w.x * Block::threads, own = first + b.rank();
    if (first >= tokens) return;
    index const row = w.y * view.stride;
    float const each = 1.0f / static_cast<float>(tokens);
    float x = 0;
    if (own < tokens) {
      float const norm = view.norm[row + own], share = norm / pair_scores::floored(norm);
      x = view.score[row + own] - share * share * each;  // NaN stays NaN
    }
    if (Score::looks_at_pairs(a.params))
      for (int from = 0; from < tokens; from += Block::threads) {
        b.sync();
        int const t = from + b.rank();
        s.other[b.rank()] = t < tokens ? view.last_alike[row + t] : -1;
        s.cosine[b.rank()] = t < tokens && s.other[b.rank()] >= 0 ? view.cosine[row + t] : 0.0f;
        b.sync();
        for (int i = 0; i < Block::threads; ++i) x -= s.other[i] == own ? s.cosine[i] * each : 0.0f;
      }
    // A mean of cosines is at most about 1, so the exponent is about 0 or below.
    if (own < tokens) view.score[row + own] = finite(x) ? ::exp2f((x - 1.0f) * 1.44269504f) : __builtin_nanf("");
  }
};

/// Block (0, head, view): divides the exponentials of a head by their sum, and turns their sign.
template <class Score, row_view Keys>
struct share_pairs_body {
  template <block Block>
  struct shared {
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, pairs_args<Score, Keys> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float* const score = view.score + w.y * view.stride;
    float total = 0;
    for (int t = b.rank(); t < view.observed; t += Block::threads) total += finite(score[t]) ? score[t] : 0.0f;
    total = b.all_sum(total, s.reduce);
    float const factor = total > 0.0f ? -1.0f / total : 0.0f;
    for (int t = b.rank(); t < view.observed; t += Block::threads) score[t] *= factor;
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
