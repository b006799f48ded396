// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of the scores that learned from hidden states: a table of weights times the hidden states of some
// tokens, then a score for each head from the products.
#pragma once
#include <kvsieve/core/dtype.hpp>
#include <kvsieve/device/tile/outer_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

template <class T>
struct hidden_products_args {
  T const* hidden;      ///< of the first token; rows of `stride`
  float const* weight;  ///< [outputs, width]
  float const* bias;    ///< [biased]: what the first products begin with
  float* product;       ///< [outputs] rows of `room`
  index stride, room;
  int tokens, width, outputs, biased;
};

/// Block (token tile, output tile, 0): its products.
template <class Score, class T>
struct hidden_products_body {
  template <block Block>
  struct shared {
    outer_tile<Block> tile;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, hidden_products_args<T> const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const tile = b.template tile<shape::columns>();
    int const first_token = w.x * shape::tokens, first_output = w.y * shape::rows;
    float product[4][4];
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      int const output = first_output + tile.index() * 4 + j;
      KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) product[j][i] = output < a.biased ? a.bias[output] : 0.0f;
    }
    s.tile.multiply_add(
        b, a.width,
        [&](int row, int d) {
          int const output = first_output + row;
          return output < a.outputs ? a.weight[index{output} * a.width + d] : 0.0f;
        },
        [&](int column, int d) {
          int const token = first_token + column;
          return token < a.tokens ? to_float(a.hidden[token * a.stride + d]) : 0.0f;
        },
        product);
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
        int const output = first_output + tile.index() * 4 + j, token = first_token + tile.rank() * 4 + i;
        if (output < a.outputs && token < a.tokens)
          a.product[output * a.room + token] = Score::activated(product[j][i]);
      }
    }
  }
};

template <class Score>
struct hidden_scores_args {
  typename Score::params params;  ///< of the layer alone
  float const* product;           ///< as above
  float* score;                   ///< [heads] rows of `stride`, from the first token on
  index room, stride;
  int tokens, heads;
};

/// Block (as many tokens as threads, head, 0): their scores.
template <class Score>
struct hidden_scores_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, hidden_scores_args<Score> const& a, work w, shared<Block>&) {
    int const t = w.x * Block::threads + b.rank();
    if (t >= a.tokens) return;
    a.score[w.y * a.stride + t] =
        Score::template score<float>(a.params, 0, a.heads, w.y, [&](int o) { return a.product[o * a.room + t]; });
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
