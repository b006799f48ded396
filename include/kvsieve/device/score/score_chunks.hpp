// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of the per-chunk scorers (LagKV): a token is seen through the ranges of the partition behind its own.
#pragma once
#include <cmath>

#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/tile/row_tile.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of a per-chunk launch.
template <row_view Keys, row_view Values>
struct chunks_part {
  Keys keys;       ///< [heads, tokens, D]
  Values values;   ///< [heads, tokens, D]
  float* score;    ///< [heads] rows of `stride`
  float* scratch;  ///< the same shape
  index stride;
  [[nodiscard]] KVSIEVE_HD int tokens() const { return static_cast<int>(keys.extent(1)); }
};

template <class Score, row_view Keys, row_view Values>
struct chunks_args {
  batch<chunks_part<Keys, Values>> views;
  typename Score::params params;
};

/// Block (partition, head, view): the scores of its partition; a view without partitions is scored by recency.
template <class Score, row_view Keys, row_view Values>
struct score_chunks_body {
  static constexpr int D = head_dim_of<Keys>, width = wide_row_lanes<D>;
  using slice = row_slice<D, width>;

  template <block Block>
  struct shared {
    float low[Block::threads / width][D], high[Block::threads / width][D];
    alignas(16) float scale[D];
    alignas(16) float offset[D];
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, chunks_args<Score, Keys, Values> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    partition const p = Score::partitions(a.params, view.tokens());
    float* const score = view.score + w.y * view.stride;
    float* const scratch = view.scratch + w.y * view.stride;
    if (p.count == 0 && w.x == 0) {
      float const behind = static_cast<float>(view.tokens() - p.begin);
      for (index t = b.rank(); t < view.tokens(); t += Block::threads) {
        score[t] = t < p.begin ? 0.0f : static_cast<float>(t - p.begin) / behind;
      }
    }
    if (w.x >= p.count) return;
    int const begin = p.begin + w.x * p.length;
    deviations(b, view, view.keys, w.y, begin, p.length, score, s);
    deviations(b, view, view.values, w.y, begin, p.length, scratch, s);
    b.sync();
    share(b, score + begin, scratch + begin, p.length, Score::value_share(a.params), s);
    if constexpr (Score::ranked) {
      b.sync();
      for (int i = b.rank(); i < p.length; i += Block::threads) {
        float const own = scratch[begin + i];
        int rank = 0;
        for (int j = 0; j < p.length; ++j) {
          float const other = scratch[begin + j];
          rank += other < own || (other == own && j < i) ? 1 : 0;
        }
        score[begin + i] = own == own ? static_cast<float>(rank) / static_cast<float>(p.length) : own;
      }
    }
  }

 private:
  /// out[t] = deviation of row t of `x`, negative where a key or value of the token is not finite.
  template <block Block, class View, class Rows>
  KVSIEVE_HD static void deviations(Block& b, View const& view, Rows const& x, int head, int begin, int length,
                                    float* out, shared<Block>& s) {
    auto const tile = b.template tile<width>();
    constexpr int tiles = Block::threads / width;
    slice low, high;
    KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
      low.part[i] = splat(__builtin_inff());
      high.part[i] = splat(-__builtin_inff());
    }
    for (int t = begin + length + tile.index(); t < begin + 2 * length; t += tiles) {
      auto const row = slice::load(row_of(x, head, t), tile.rank());
      if (!usable(tile, view, head, t)) continue;
      KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
        KVSIEVE_UNROLL for (int j = 0; j < fragment::lanes; ++j) {
          Score::absorb(low.part[i].v[j], high.part[i].v[j], row.part[i].v[j]);
        }
      }
    }
    KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
      KVSIEVE_UNROLL for (int j = 0; j < fragment::lanes; ++j) {
        s.low[tile.index()][slice::channel(tile.rank(), i) + j] = low.part[i].v[j];
        s.high[tile.index()][slice::channel(tile.rank(), i) + j] = high.part[i].v[j];
      }
    }
    b.sync();
    for (int d = b.rank(); d < D; d += Block::threads) {
      float least = s.low[0][d], most = s.high[0][d];
      for (int i = 1; i < tiles; ++i) {
        least = min(least, s.low[i][d]);
        most = max(most, s.high[i][d]);
      }
      Score::range_to_line(least, most, s.scale[d], s.offset[d]);
    }
    b.sync();
    for (int t = begin + tile.index(); t < begin + length; t += tiles) {
      auto const row = slice::load(row_of(x, head, t), tile.rank());
      fragment total = splat(0.0f), squares = splat(0.0f);
      KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
        int const d = slice::channel(tile.rank(), i);
        fragment y = fma(row.part[i], load_row(static_cast<float const*>(s.scale), d),
                         load_row(static_cast<float const*>(s.offset), d));
        KVSIEVE_UNROLL for (int j = 0; j < fragment::lanes; ++j) y.v[j] = Score::bounded(y.v[j]);
        total = total + y;
        squares = squares + y * y;
      }
      float const u = Score::deviation(tile.all_sum(device::sum(total)), tile.all_sum(device::sum(squares)), D);
      bool const counts = usable(tile, view, head, t);
      if (tile.rank() == 0) out[t] = counts ? u : -1.0f;
    }
  }

  /// True in all lanes when both rows of a token are finite.
  template <class Tile, class View>
  KVSIEVE_HD static bool usable(Tile const& tile, View const& view, int head, int t) {
    auto const key = slice::load(row_of(view.keys, head, t), tile.rank());
    auto const value = slice::load(row_of(view.values, head, t), tile.rank());
    fragment zero = splat(0.0f);
    KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) {
      zero = zero + (key.part[i] - key.part[i]) + (value.part[i] - value.part[i]);
    }
    return tile.all_sum(device::sum(zero)) == 0.0f;
  }

  /// Softmax of both deviations inside the partition, added: into `score`, or into `scratch` when ranks follow.
  template <block Block>
  KVSIEVE_HD static void share(Block& b, float* score, float* scratch, int length, float value_share,
                               shared<Block>& s) {
    float top_key = -__builtin_inff(), top_value = -__builtin_inff();
    for (int i = b.rank(); i < length; i += Block::threads) {
      if (score[i] < 0.0f || scratch[i] < 0.0f) continue;
      top_key = max(top_key, score[i]);
      top_value = max(top_value, scratch[i]);
    }
    top_key = b.all_max(top_key, s.reduce);
    top_value = b.all_max(top_value, s.reduce);
    float mass_key = 0, mass_value = 0;
    for (int i = b.rank(); i < length; i += Block::threads) {
      if (score[i] < 0.0f || scratch[i] < 0.0f) continue;
      mass_key += ::expf(score[i] - top_key);
      mass_value += ::expf(scratch[i] - top_value);
    }
    mass_key = b.all_sum(mass_key, s.reduce);
    mass_value = b.all_sum(mass_value, s.reduce);
    for (int i = b.rank(); i < length; i += Block::threads) {
      float result = __builtin_nanf("");
      if (!(score[i] < 0.0f || scratch[i] < 0.0f)) {
        result = ::expf(score[i] - top_key) / mass_key + value_share * (::expf(scratch[i] - top_value) / mass_value);
      }
      (Score::ranked ? scratch : score)[i] = result;
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
