// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of the scorers that look at a row at a time. Bound by reading what they read.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/row_sums.hpp>
#include <kvsieve/host/score/map_rows.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Scorer>
class score_per_row {
  static constexpr int lanes = fragment::lanes;

 public:
  /// Scratch: task numbers; for a scorer with a summary also its partial sums, and a segment's sums a worker where they
  /// wait for their block.
  template <class Layer>
  static score_per_row carve(arena& a, cs::span<Layer const> layers, int workers,
                             typename Scorer::params const& p = {}) {
    score_per_row s{task_numbers::carve(a, static_cast<index>(layers.size())), p};
    if constexpr (row_map<Scorer>::waits) {
      index longest = 0;
      for (auto const& l : layers) longest = longest < l.tokens() ? l.tokens() : longest;
      index const segment = s.map_.segment() < longest ? s.map_.segment() : longest;
      s.room_ = round_up<index>(segment, 16);
      s.second_ = a.take<float>(static_cast<std::size_t>(s.room_ * workers));
    }
    if constexpr (Scorer::summarises) {
      index most = 0;
      for (auto const& l : layers) most = most < segments_of(l.tokens()) ? segments_of(l.tokens()) : most;
      s.partial_ = a.take<float>(static_cast<std::size_t>((most + 1) * Layer::head_dim));
    }
    return s;
  }

  template <class Exec, class Layer>
  void run(Exec const& on, cs::span<Layer const> layers, score_rows out) const {
    if constexpr (!Scorer::summarises) {
      tasks_.fill([&](index v) {
        auto const& l = layers[static_cast<std::size_t>(v)];
        return l.heads() * map_.segments_of(l.tokens());
      });
      on.for_each(tasks_.count(), [&](index i, int worker) {
        auto const [v, task] = tasks_.find(i);
        auto const& l = layers[static_cast<std::size_t>(v)];
        index const segments = map_.segments_of(l.tokens()), head = task / segments,
                    first = task % segments * map_.segment(), past = first + map_.segment();
        map_.run(l, v, head, first, past < l.tokens() ? past : l.tokens(), out.row(v, head, l.tokens()),
                 second_ + room_ * worker);
      });
      if constexpr (row_scores::in_shares<Scorer>) {
        tasks_.fill([&](index v) { return layers[static_cast<std::size_t>(v)].heads(); });
        on.for_each(tasks_.count(), [&](index i, int) {
          auto const [v, head] = tasks_.find(i);
          index const tokens = layers[static_cast<std::size_t>(v)].tokens();
          row_map<Scorer>::share_out(out.row(v, head, tokens), tokens);
        });
      }
    } else {
      index heads = 0;
      for (auto const& l : layers) heads += l.heads();
      if (heads >= 2 * on.workers())
        run_heads_apart(on, layers, out);
      else
        run_heads_in_turn(on, layers, out);
    }
  }

  /// One head in the calling thread. `Layer` has keys, tokens() and head_dim; score has room up to a multiple of 16.
  template <class Layer>
  static void score_head(Layer const& l, index head, float* score) {
    index const segments = segments_of(l.tokens());
    if constexpr (Scorer::summarises) {
      constexpr int D = Layer::head_dim;
      float summary[D], partial[2][D] = {};
      for (index s = 0; s < segments; ++s) {
        absorb(l, head, s, score, partial[1]);
        for (int d = 0; d < D; ++d) partial[0][d] += partial[1][d];
      }
      float const norm = finish<D>(summary, partial[0], 1, l.tokens());
      for (index s = segments - 1; s >= 0; --s) compare(l, head, s, summary, norm, score);
    } else {
      static_assert(row_scores::keys_alone<Scorer>);
      for (index s = 0; s < segments; ++s) map(l, head, s * segment_rows, score);
    }
  }

 private:
  score_per_row(task_numbers tasks, typename Scorer::params const& p) : tasks_(tasks), map_(p) {}

  template <class Layer>
  static void map(Layer const& l, index head, index first, float* score) {
    index const last = end_of(l, first);
    for (index r = first; r < last; r += lanes)
      store(score + r, Scorer::score(sum_row_block<Layer::head_dim>(l.keys, head, r, last - r,
                                                                    [](fragment k, int) { return Scorer::term(k); })));
  }

  // First pass of a segment: the number kept for each row goes where its score will be; the weighed rows are summed.
  template <class Layer>
  static void absorb(Layer const& l, index head, index segment, float* kept, float* partial) {
    constexpr int D = Layer::head_dim, n = fragments_of<D>;
    fragment sum[n];
    KVSIEVE_UNROLL for (int c = 0; c < n; ++c) sum[c] = fragment(0.0f);
    index const first = segment * segment_rows, last = end_of(l, first);
    for (index r = first; r < last; r += lanes) {
      fragment const norm = Scorer::weigh(
          sum_row_block<D>(l.keys, head, r, last - r, [](fragment k, int) { return Scorer::weigh_term(k); }));
      store(kept + r, norm);
      fragment const share = Scorer::share(norm);
      int const rows = static_cast<int>(last - r < lanes ? last - r : lanes);
      for (int j = 0; j < rows; ++j) {
        float const s = share[j];
        if (s == 0.0f) continue;  // a row that is not finite: 0 * inf would reach every token
        auto const row = row_of(l.keys, head, r + j);
        fragment const factor(s);
        fragment k[n];
        load_channels<D>(row, 0, k);
        KVSIEVE_UNROLL for (int c = 0; c < n; ++c) sum[c] = fma(k[c], factor, sum[c]);
      }
    }
    KVSIEVE_UNROLL for (int c = 0; c < n; ++c) store(partial + c * lanes, sum[c]);
  }

  // Second pass of a segment. Segments come from the last one back, since what the first pass read last is still near;
  // inside a segment rows go forwards, the way memory is fetched ahead.
  template <class Layer>
  static void compare(Layer const& l, index head, index segment, float const* summary, float summary_norm,
                      float* score) {
    constexpr int D = Layer::head_dim, n = fragments_of<D>;
    fragment mean[n];
    KVSIEVE_UNROLL for (int c = 0; c < n; ++c) mean[c] = load(summary + c * lanes);
    index const first = segment * segment_rows, last = end_of(l, first);
    for (index r = first; r < last; r += lanes) {
      fragment const dot =
          sum_row_block<D>(l.keys, head, r, last - r, [&](fragment k, int c) { return Scorer::term(k, mean[c]); });
      store(score + r, Scorer::score(dot, load(score + r), summary_norm));
    }
  }

  // Joins the segments' sums in order, divides by the rows, and gives the norm of the result.
  template <int D>
  static float finish(float* summary, float const* partial, index segments, index tokens) {
    for (int d = 0; d < D; ++d) summary[d] = 0.0f;
    for (index s = 0; s < segments; ++s)
      for (int d = 0; d < D; ++d) summary[d] += partial[s * D + d];
    fragment squares(0.0f);
    for (int d = 0; d < D; d += lanes) {
      fragment const mean = load(summary + d) / fragment(static_cast<float>(tokens));
      store(summary + d, mean);
      squares = fma(mean, mean, squares);
    }
    return kvsieve::sqrt(sum(squares));
  }

  template <class Exec, class Layer>
  void run_heads_apart(Exec const& on, cs::span<Layer const> layers, score_rows out) const {
    tasks_.fill([&](index v) { return layers[static_cast<std::size_t>(v)].heads(); });
    on.for_each(tasks_.count(), [&](index i, int) {
      auto const [v, head] = tasks_.find(i);
      auto const& l = layers[static_cast<std::size_t>(v)];
      score_head(l, head, out.row(v, head, l.tokens()));
    });
  }

  // All workers on one head after another: for few heads.
  template <class Exec, class Layer>
  void run_heads_in_turn(Exec const& on, cs::span<Layer const> layers, score_rows out) const {
    constexpr int D = Layer::head_dim;
    for (std::size_t v = 0; v < layers.size(); ++v) {
      auto const& l = layers[v];
      index const segments = segments_of(l.tokens());
      for (index head = 0; head < l.heads(); ++head) {
        float* const score = out.row(static_cast<index>(v), head, l.tokens());
        on.sweep(segments, false, [&](index s, int) { absorb(l, head, s, score, partial_ + (s + 1) * D); });
        float const norm = finish<D>(partial_, partial_ + D, segments, l.tokens());
        on.sweep(segments, true, [&](index s, int) { compare(l, head, s, partial_, norm, score); });
      }
    }
  }

  template <class Layer>
  static index end_of(Layer const& l, index first) {
    return first + segment_rows < l.tokens() ? first + segment_rows : l.tokens();
  }

  task_numbers tasks_;
  row_map<Scorer> map_;
  float* second_ = nullptr;  ///< [workers, room_]: the other sum of a segment's rows
  index room_ = 0;
  float* partial_ = nullptr;  ///< [1 + segments, D]: the summary, then each segment's sum; channels as channel_at
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
