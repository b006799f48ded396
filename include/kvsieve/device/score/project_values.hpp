// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of the weight by projected values: norms of a table's product with every value, joined over a group, in
// tiles of 4 x 4 products a thread.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/call/scores_part.hpp>
#include <kvsieve/device/tile/outer_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

struct gram_args {
  float const* output;  ///< [hidden, query_heads, head_dim]: of one layer
  float* gram;          ///< [query_heads, head_dim, head_dim]
  int hidden, query_heads, head_dim;
};

/// Block (tile of rows, tile of columns, query head): the products of two channels of its slice, summed over the
/// entries.
struct gram_body {
  template <block Block>
  struct shared {
    outer_tile<Block, true> tile;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, gram_args const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    auto const tile = b.template tile<shape::columns>();
    int const D = a.head_dim, first_row = w.x * shape::rows, first_column = w.y * shape::tokens;
    if (first_row >= D || first_column >= D) return;
    index const stride = index{a.query_heads} * D;
    float const* const slice = a.output + index{w.z} * D;
    float product[4][4] = {};
    auto const at = [&](int channel, int entry) { return channel < D ? slice[entry * stride + channel] : 0.0f; };
    s.tile.multiply_add(
        b, a.hidden, [&](int row, int entry) { return at(first_row + row, entry); },
        [&](int column, int entry) { return at(first_column + column, entry); }, product);
    float* const gram = a.gram + index{w.z} * D * D;
    KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
      KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
        int const row = first_row + tile.index() * 4 + j, column = first_column + tile.rank() * 4 + i;
        if (row < D && column < D) gram[index{row} * D + column] = product[j][i];
      }
    }
  }
};

/// One view of a launch over values.
template <row_view Values>
struct project_part {
  Values values;       ///< [heads, tokens, D]
  float* weight;       ///< [heads] rows of `stride`: the weights of its tokens
  float const* table;  ///< rows of D: of a query head those of its slice, or of its Gram matrix
  index stride;
  index head_step, row_step;  ///< from a query head's first row to the next one's, and from a row to the next
  int rows, group, scored;    ///< rows of a query head, query heads of a KV head, tokens that have scores
};
template <row_view Values>
struct project_args {
  batch<project_part<Values>> views;
};

/// Block (token tile, head, view): the weights of its tokens.
template <class Weigh, row_view Values>
struct project_values_body {
  static constexpr int D = head_dim_of<Values>;

  template <block Block>
  struct shared {
    using shape = tile_shape<Block::threads>;
    outer_tile<Block> tile;
    float sum[shape::lines][shape::tokens];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, project_args<Values> const& a, work w, shared<Block>& s) {
    using shape = tile_shape<Block::threads>;
    using group = typename Weigh::group;
    auto const& view = a.views.part[w.z];
    int const first = w.x * shape::tokens;
    if (first >= view.scored) return;
    auto const tile = b.template tile<shape::columns>();
    auto const value_at = [&](int token, int channel) {
      return first + token < view.scored ? to_float(row_of(view.values, w.y, first + token)[channel]) : 0.0f;
    };
    float joined = 0, all = 0;  // of token first + rank
    for (int g = 0; g < view.group; ++g) {
      float const* const table = view.table + (index{w.y} * view.group + g) * view.head_step;
      float sum[4] = {};
      for (int from = 0; from < view.rows; from += shape::rows) {
        float product[4][4] = {};
        s.tile.multiply_add(
            b, D,
            [&](int row, int channel) {
              return from + row < view.rows ? table[(from + row) * view.row_step + channel] : 0.0f;
            },
            value_at, product);
        KVSIEVE_UNROLL for (int j = 0; j < 4; ++j) {
          [[maybe_unused]] int const row = from + tile.index() * 4 + j;
          KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) {
            if constexpr (Weigh::quadratic)
              sum[i] += row < view.rows ? product[j][i] * value_at(tile.rank() * 4 + i, row) : 0.0f;
            else
              sum[i] += product[j][i] < 0.0f ? -product[j][i] : product[j][i];
          }
        }
      }
      KVSIEVE_UNROLL for (int i = 0; i < 4; ++i) s.sum[tile.index()][tile.rank() * 4 + i] = sum[i];
      b.sync();
      if (b.rank() < shape::tokens) {
        float norm = 0;
        for (int line = 0; line < shape::lines; ++line) norm += s.sum[line][b.rank()];
        if constexpr (Weigh::quadratic) norm = norm < 0.0f ? 0.0f : sqrt(norm);
        joined = g == 0 ? norm : group::combine(joined, norm);
        all += norm;  // a maximum passes NaN over
      }
      // The first sync of the next product keeps what is read here from being written.
    }
    if (b.rank() < shape::tokens && first + b.rank() < view.scored)
      view.weight[w.y * view.stride + first + b.rank()] =
          finite(all) ? group::result(joined, view.group) : __builtin_nanf("");
  }
};

/// Block (segment, head, view): the scores of its tokens, result[t], by the weights, score[t].
template <class Weigh>
struct apply_weights_body {
  using args = scores_args<typename Weigh::params>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    float const* const weight = view.score;
    float* const score = view.result + w.y * view.stride;
    each_score(b, w.x, view.scored, [&](int t) {
      float own = weight[w.y * view.stride + t];
      if constexpr (Weigh::over_heads) {
        float sum = 0;
        for (int h = 0; h < view.heads; ++h) sum += weight[h * view.stride + t];
        own = sum == 0.0f ? 0.0f : own / sum;
      }
      score[t] = (score[t] + a.params.epsilon) * own;
    });
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
