// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Features of rows for evict::low_rank_state by a block: a thread has a unit of the hidden layer, then a feature of a
// row. Sums go channel by channel and unit by unit, as on the host.
#pragma once
#include <kvsieve/core/gelu.hpp>
#include <kvsieve/core/low_rank.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/block.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// R rows of D channels and their features, in shared memory.
template <int D, int R, block Block>
struct row_features {
  float x[R][D];                    ///< rows
  float unit[R][Block::threads];    ///< of the hidden layer, some at a time
  float y[R][low_rank::most_rank];  ///< features
};

/// y[r] = gelu(gelu(x[r] W1) W2) [rank]; W1 [D, units], W2 [units, rank]. Begins and ends with a sync.
template <int D, int R, block Block>
KVSIEVE_HD void find_features(Block& b, row_features<D, R, Block>& s, float const* in, float const* out, int units,
                              int rank) {
  for (int i = b.rank(); i < R * rank; i += Block::threads) s.y[i / rank][i % rank] = 0.0f;
  b.sync();
  for (int first = 0; first < units; first += Block::threads) {
    int const own = first + b.rank(), here = units - first < Block::threads ? units - first : Block::threads;
    if (b.rank() < here) {
      float sum[R] = {};
      constexpr int ahead = 8;
      static_assert(D % ahead == 0);
      KVSIEVE_NO_UNROLL for (int d = 0; d < D; d += ahead) {
        float w[ahead];
        KVSIEVE_UNROLL for (int j = 0; j < ahead; ++j) w[j] = in[index{d + j} * units + own];
        KVSIEVE_UNROLL for (int j = 0; j < ahead; ++j) {
          KVSIEVE_UNROLL for (int r = 0; r < R; ++r) sum[r] = w[j] * s.x[r][d + j] + sum[r];
        }
      }
      KVSIEVE_UNROLL for (int r = 0; r < R; ++r) s.unit[r][b.rank()] = gelu(sum[r]);
    }
    b.sync();
    for (int i = b.rank(); i < R * rank; i += Block::threads) {
      int const r = i / rank, c = i % rank;
      float y = s.y[r][c];
      for (int j = 0; j < here; ++j) y += s.unit[r][j] * out[index{first + j} * rank + c];
      s.y[r][c] = y;
    }
    b.sync();
  }
  for (int i = b.rank(); i < R * rank; i += Block::threads) s.y[i / rank][i % rank] = gelu(s.y[i / rank][i % rank]);
  b.sync();
}
}  // namespace device
}  // namespace kvsieve::inline v0
