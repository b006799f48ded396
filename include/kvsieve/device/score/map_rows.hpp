// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of the scores that are a matter of sums over a key, a value or both: with a table for each head, as
// shares of a block, as shares of a head. host/score/map_rows.hpp is the same on the host.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/score/score_rows.hpp>
#include <kvsieve/device/tile/row_tile.hpp>
#include <kvsieve/score/row_scores.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of such a launch.
template <class Keys, class Values>
struct map_part {
  Keys keys;           ///< [heads, tokens, D]
  Values values;       ///< [heads, tokens, D]
  float* score;        ///< [heads] rows of `stride`
  float* second;       ///< as many, for sums that wait for their block
  float const* table;  ///< [heads, D], of policies that have one
  index stride;
  int segment;  ///< rows of a block of threads

  [[nodiscard]] KVSIEVE_HD int tokens() const { return static_cast<int>(keys.extent(1)); }
};

/// Parameters of these launches.
template <class Score, class Keys, class Values>
struct map_args {
  batch<map_part<Keys, Values>> views;
  typename Score::params params;
};

/// Block (segment, head, view): the scores of its rows.
template <class Score, row_view Keys, row_view Values>
struct map_sums_body {
  static constexpr int D = head_dim_of<Keys>, width = row_lanes<D>;
  static constexpr bool of_keys = row_scores::reads_keys<Score>, of_values = row_scores::reads_values<Score>;
  static constexpr bool in_blocks = row_scores::in_blocks<Score>;
  using args = map_args<Score, Keys, Values>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    int const tokens = view.tokens();
    if (w.x >= pieces(tokens, view.segment)) return;
    int const first = w.x * view.segment, last = tokens - first < view.segment ? tokens : first + view.segment;
    auto const tile = b.template tile<width>();
    float* const score = view.score + w.y * view.stride;
    float* const second = view.second + w.y * view.stride;
    row_slice<D> table;
    if constexpr (row_scores::has_table<Score>) {
      float const* const row = view.table + index{w.y} * D;
      KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) {
        int const d = row_slice<D>::channel(tile.rank(), i);
        KVSIEVE_UNROLL for (int j = 0; j < fragment::lanes; ++j) table.part[i].v[j] = row[d + j];
      }
    }
    for (int t = first + tile.index(); t < last; t += Block::threads / width) {
      float key = 0, value = 0;
      if constexpr (of_keys) {
        auto const row = row_slice<D>::load(row_of(view.keys, w.y, t), tile.rank());
        fragment terms = splat(0.0f);
        KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) {
          if constexpr (row_scores::has_table<Score>)
            terms = terms + Score::term(row.part[i], table.part[i]);
          else
            terms = terms + Score::term(row.part[i]);
        }
        key = tile.all_sum(device::sum(terms));
      }
      if constexpr (of_values) {
        auto const row = row_slice<D>::load(row_of(view.values, w.y, t), tile.rank());
        fragment terms = splat(0.0f);
        KVSIEVE_UNROLL for (int i = 0; i < row_slice<D>::count; ++i) terms = terms + Score::value_term(row.part[i]);
        value = tile.all_sum(device::sum(terms));
      }
      if (tile.rank() != 0) continue;
      if constexpr (in_blocks) {
        score[t] = of_keys ? key : value;
        if constexpr (of_keys && of_values) second[t] = value;
      } else if constexpr (of_keys && of_values) {
        score[t] = row_scores::score<Score>(a.params, key, value);
      } else {
        score[t] = row_scores::score<Score>(a.params, of_keys ? key : value);
      }
    }
    if constexpr (in_blocks) {
      b.sync();
      int const length = Score::block(a.params), step = length > 0 ? length : 16;
      for (int from = first + b.rank() * step; from < last; from += Block::threads * step) {
        int const to = last - from < step ? last : from + step;
        float const one = length > 0 ? of_total(score + from, to - from) : 1.0f;
        if constexpr (of_keys && of_values) {
          float const other = length > 0 ? of_total(second + from, to - from) : 1.0f;
          for (int t = from; t < to; ++t)
            score[t] = row_scores::score<Score>(a.params, score[t] * one, second[t] * other);
        } else {
          for (int t = from; t < to; ++t) score[t] = row_scores::score<Score>(a.params, score[t] * one);
        }
      }
    }
  }

 private:
  /// What makes shares of the sums of a block, of those that are finite.
  KVSIEVE_HD static float of_total(float const* x, int n) {
    float total = 0;
    for (int i = 0; i < n; ++i) total += finite(x[i]) ? x[i] : 0.0f;
    return total > 0.0f ? 1.0f / total : 0.0f;
  }
};

/// Block (0, head, view): divides the scores of a head by their sum, of those that are finite.
template <class Score, row_view Keys, row_view Values>
struct share_scores_body {
  using args = map_args<Score, Keys, Values>;

  template <block Block>
  struct shared {
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    float* const score = view.score + w.y * view.stride;
    float total = 0;
    for (int t = b.rank(); t < view.tokens(); t += Block::threads) total += finite(score[t]) ? score[t] : 0.0f;
    total = b.all_sum(total, s.reduce);
    float const factor = total > 0.0f ? 1.0f / total : 0.0f;
    for (int t = b.rank(); t < view.tokens(); t += Block::threads) score[t] *= factor;
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
