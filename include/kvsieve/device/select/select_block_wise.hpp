// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel body of block-wise selection: a block of threads runs all rounds of a head, since each hangs on the one
// before.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/select/select.hpp>
#include <kvsieve/device/tile/row_tile.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// One view of a block-wise selection.
template <row_view Keys>
struct block_wise_part {
  Keys keys;     ///< [heads, tokens, D]
  float* score;  ///< [heads] rows of `stride`: what a token scored in the last round that it was in
  float* fresh;  ///< the same: scores of the candidates of a round
  int* list;     ///< [heads] lists of `keep` tokens
  int* best;     ///< the same: which of the candidates stay
  index stride;
  int tokens, keep;
};
template <row_view Keys>
struct block_wise_args {
  batch<block_wise_part<Keys>> views;
  int block;  ///< tokens of a round
};

/// Block (0, head, view): round after round the kept tokens and the next ones are scored, and the best of them stay.
template <class Score, row_view Keys>
struct block_wise_body {
  static constexpr int D = head_dim_of<Keys>, width = row_lanes<D>;
  using slice = row_slice<D>;

  template <block Block>
  struct shared {
    float part[Block::threads / width][D];
    float mean[D];
    typename Block::reduce_storage reduce;
    row_pick::shared<Block> pick;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, block_wise_args<Keys> const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    int const tokens = view.tokens, keep = view.keep;
    float* const score = view.score + w.y * view.stride;
    float* const fresh = view.fresh + w.y * view.stride;
    int *const list = view.list + index{w.y} * keep, *const best = view.best + index{w.y} * keep;
    for (int i = b.rank(); i < keep; i += Block::threads) list[i] = i;
    b.sync();
    // With nothing to drop there is one round, for the scores alone.
    for (int next = keep; next < tokens || next == keep;) {
      int const own = tokens - next < a.block ? tokens - next : a.block, count = keep + own;
      auto const candidate = [&](int i) { return i < keep ? list[i] : next + (i - keep); };
      rate(b, view.keys, w.y, count, candidate, fresh, s);
      b.sync();
      for (int i = b.rank(); i < count; i += Block::threads) score[candidate(i)] = fresh[i];
      next += own;
      if (own > 0) {
        if (keep > 0) row_pick::run(b, fresh, 0, count, keep, forced_set{count, 0, 0, nullptr, 0}, best, s.pick);
        b.sync();
        int const behind = next - own;
        for (int first = 0; first < keep;
             first += Block::threads) {  // best[i] >= i, so what is read is not yet written
          int const i = first + b.rank();
          int const at = i < keep ? best[i] : 0, token = i < keep && at < keep ? list[at] : behind + (at - keep);
          b.sync();
          if (i < keep) list[i] = token;
        }
      }
      b.sync();
      if (next >= tokens) break;
    }
  }

 private:
  /// Scores of candidates [0, count), as if they were all rows.
  template <block Block, class Candidate>
  KVSIEVE_HD static void rate(Block& b, Keys const& keys, int head, int count, Candidate const& candidate, float* fresh,
                              shared<Block>& s) {
    auto const tile = b.template tile<width>();
    constexpr int tiles = Block::threads / width;
    slice mean;
    float mean_norm = 0;
    if constexpr (Score::summarises) mean_norm = summarise(b, keys, head, count, candidate, mean, s);
    for (int i = tile.index(); i < count; i += tiles) {
      auto const key = slice::load(row_of(keys, head, candidate(i)), tile.rank());
      fragment terms = splat(0.0f), squares = splat(0.0f);
      KVSIEVE_UNROLL for (int j = 0; j < slice::count; ++j) {
        if constexpr (Score::summarises) {
          terms = terms + Score::term(key.part[j], mean.part[j]);
          squares = squares + Score::weigh_term(key.part[j]);
        } else {
          terms = terms + Score::term(key.part[j]);
        }
      }
      float const sum = tile.all_sum(device::sum(terms));
      float result;
      if constexpr (Score::summarises)
        result = Score::score(sum, Score::weigh(tile.all_sum(device::sum(squares))), mean_norm);
      else
        result = Score::score(sum);
      if (tile.rank() == 0) fresh[i] = result;
    }
  }

  /// The mean row of the candidates; returns its norm.
  template <block Block, class Candidate>
  KVSIEVE_HD static float summarise(Block& b, Keys const& keys, int head, int count, Candidate const& candidate,
                                    slice& mean, shared<Block>& s) {
    auto const tile = b.template tile<width>();
    constexpr int tiles = Block::threads / width;
    slice sum;
    KVSIEVE_UNROLL for (int j = 0; j < slice::count; ++j) sum.part[j] = splat(0.0f);
    for (int i = tile.index(); i < count; i += tiles) {
      auto const key = slice::load(row_of(keys, head, candidate(i)), tile.rank());
      fragment squares = splat(0.0f);
      KVSIEVE_UNROLL for (int j = 0; j < slice::count; ++j) squares = squares + Score::weigh_term(key.part[j]);
      float const share = Score::share(Score::weigh(tile.all_sum(device::sum(squares))));
      if (share == 0.0f) continue;  // a row left out may hold NaN, so it is not multiplied by 0
      KVSIEVE_UNROLL for (int j = 0; j < slice::count; ++j) sum.part[j] = fma(splat(share), key.part[j], sum.part[j]);
    }
    KVSIEVE_UNROLL for (int j = 0; j < slice::count; ++j) {
      KVSIEVE_UNROLL for (int k = 0; k < fragment::lanes; ++k)
          s.part[tile.index()][slice::channel(tile.rank(), j) + k] = sum.part[j].v[k];
    }
    b.sync();
    float squares = 0;
    for (int d = b.rank(); d < D; d += Block::threads) {
      float total = 0;
      for (int i = 0; i < tiles; ++i) total += s.part[i][d];
      s.mean[d] = total / static_cast<float>(count);
      squares += s.mean[d] * s.mean[d];
    }
    squares = b.all_sum(squares, s.reduce);
    KVSIEVE_UNROLL for (int j = 0; j < slice::count; ++j) {
      KVSIEVE_UNROLL for (int k = 0; k < fragment::lanes; ++k) mean.part[j].v[k] =
          s.mean[slice::channel(tile.rank(), j) + k];
    }
    return sqrt(squares);
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
