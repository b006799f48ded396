// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of the scorers that hold keys against each other: redundancy. The sums over all pairs follow from the sum of
// the unit keys; the pairs themselves are met a few rows at a time, and none are stored.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/score/score_per_row.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Scorer>
class score_per_pair {
  static constexpr int lanes = fragment::lanes;
  static constexpr int together = 4;  ///< rows that meet the others at once
  static constexpr index rows_of_task = 64;

 public:
  using params = typename Scorer::params;

  /// Scratch: that of the mean unit key; views being taken in turn, three numbers for each row.
  template <class Layer>
  static score_per_pair carve(arena& a, cs::span<Layer const> layers, int workers, params const& p) {
    score_per_pair s(score_per_row<Scorer>::carve(a, layers, workers, p), p);
    index longest = 0;
    for (auto const& l : layers) longest = longest < l.tokens() ? l.tokens() : longest;
    s.room_ = round_up<index>(longest, 16);
    auto const rows = static_cast<std::size_t>(s.room_ * (layers.empty() ? 0 : layers[0].heads()));
    s.norm_ = a.take<float>(rows);
    s.cosine_ = a.take<float>(rows);
    s.last_alike_ = a.take<int>(rows);
    return s;
  }

  template <class Exec, class Layer>
  void run(Exec const& on, cs::span<Layer const> layers, score_rows out) const {
    means_.run(on, layers, out);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      auto const& l = layers[i];
      index const heads = l.heads(), tokens = l.tokens(), segments = segments_of(tokens);
      on.for_each(heads * segments, [&](index task, int) {
        index const head = task / segments, first = task % segments * segment_rows;
        index const last = first + segment_rows < tokens ? first + segment_rows : tokens;
        for (index r = first; r < last; r += lanes)
          store(norm_ + head * room_ + r,
                Scorer::weigh(sum_row_block<Layer::head_dim>(l.keys, head, r, last - r,
                                                             [](fragment k, int) { return Scorer::weigh_term(k); })));
      });
      bool const pairs = Scorer::looks_at_pairs(params_);
      if (pairs) {
        index const parts = (tokens + rows_of_task - 1) / rows_of_task;
        on.for_each(heads * parts, [&](index task, int) {
          index const head = task / parts, first = task % parts * rows_of_task;
          index const last = first + rows_of_task < tokens ? first + rows_of_task : tokens;
          for (index r = first; r < last; r += together)
            find_last_alike(l, head, r, static_cast<int>(last - r < together ? last - r : together));
        });
      }
      on.for_each(heads,
                  [&](index head, int) { finish(out.row(static_cast<index>(i), head, tokens), head, tokens, pairs); });
    }
  }

 private:
  score_per_pair(score_per_row<Scorer> means, params const& p) : means_(means), params_(p) {}

  static float floored(float norm) { return kvsieve::max(norm, 1e-8f); }

  // For rows [first, first + count): the last other row that is alike and their cosine; -1 where there is none. Blocks
  // come from the last one back, until all have found theirs.
  template <class Layer>
  void find_last_alike(Layer const& l, index head, index first, int count) const {
    constexpr int D = Layer::head_dim, n = fragments_of<D>;
    index const tokens = l.tokens();
    float const* const norm = norm_ + head * room_;
    fragment own[together][n];
    bool open[together] = {};
    int left = 0;
    for (int i = 0; i < count; ++i) {
      load_channels<D>(row_of(l.keys, head, first + i), 0, own[i]);
      last_alike_[head * room_ + first + i] = -1;
      open[i] = finite(norm[first + i]);
      left += open[i] ? 1 : 0;
    }
    for (int i = count; i < together; ++i) load_channels<D>(row_of(l.keys, head, first), 0, own[i]);
    for (index block = (tokens - 1) / lanes * lanes; block >= 0 && left > 0; block -= lanes) {
      int const rows = static_cast<int>(tokens - block < lanes ? tokens - block : lanes);
      fragment part[together][lanes];
      for (int j = 0; j < lanes; ++j) {
        if (j >= rows) {
          for (int i = 0; i < together; ++i) part[i][j] = fragment(0.0f);
          continue;
        }
        fragment k[n];
        load_channels<D>(row_of(l.keys, head, block + j), 0, k);
        KVSIEVE_UNROLL for (int i = 0; i < together; ++i) part[i][j] =
            sum_terms<D>([&](int c) { return k[c] * own[i][c]; });
      }
      for (int i = 0; i < count; ++i) {
        if (!open[i]) continue;
        fragment const dot = sum_rows(part[i]);
        for (int j = rows - 1; j >= 0; --j) {
          if (block + j == first + i) continue;
          float const cosine = dot[j] / (floored(norm[first + i]) * floored(norm[block + j]));
          if (!Scorer::alike(params_, cosine)) continue;  // NaN is not
          last_alike_[head * room_ + first + i] = static_cast<int>(block + j);
          cosine_[head * room_ + first + i] = cosine;
          open[i] = false;
          --left;
          break;
        }
      }
    }
  }

  // Mean cosines become the negative softmax of what is left without the row itself and without the exempt pairs.
  void finish(float* score, index head, index tokens, bool pairs) const {
    float const* const norm = norm_ + head * room_;
    float const each = 1.0f / static_cast<float>(tokens);
    for (index t = 0; t < tokens; ++t) {
      float const unit = norm[t] / floored(norm[t]);
      score[t] -= unit * unit * each;  // NaN stays NaN
    }
    if (pairs)
      for (index t = 0; t < tokens; ++t)
        if (int const other = last_alike_[head * room_ + t]; other >= 0)
          score[other] -= cosine_[head * room_ + t] * each;
    float total = 0;
    for (index t = 0; t < tokens; t += lanes) {
      fragment const x = load(score + t);
      // A mean of cosines is at most about 1, so the exponent is about 0 or below.
      fragment const e = exp2((x - fragment(1.0f)) * fragment(1.44269504f));
      store(score + t, where(x - x == fragment(0.0f), e, fragment(__builtin_nanf(""))));
    }
    for (index t = 0; t < tokens; ++t) total += finite(score[t]) ? score[t] : 0.0f;
    fragment const factor(total > 0.0f ? -1.0f / total : 0.0f);
    for (index t = 0; t < tokens; t += lanes) store(score + t, load(score + t) * factor);
  }

  score_per_row<Scorer> means_;
  params params_;
  index room_ = 0;
  float *norm_ = nullptr, *cosine_ = nullptr;  ///< [heads, room_]
  int* last_alike_ = nullptr;                  ///< [heads, room_]
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
