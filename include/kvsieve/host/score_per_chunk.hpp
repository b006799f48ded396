// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of the scorers that hold a chunk against the one behind it: LagKV. Bound by reading keys and values once: the
// rows that serve as a reference are still in the cache when they are scored themselves.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/rank.hpp>
#include <kvsieve/host/tasks.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Scorer>
class score_per_chunk {
  static constexpr int lanes = fragment::lanes;
  static constexpr index partitions_per_task = 16;

 public:
  /// Scratch: task numbers, and room for one partition's numbers a worker.
  template <class Layer>
  static score_per_chunk carve(arena& a, cs::span<Layer const> layers, int workers, typename Scorer::params const& p) {
    index const room = round_up<index>(p.lag, 16) + 16;
    return score_per_chunk(task_numbers::carve(a, static_cast<index>(layers.size())), room,
                           a.take<float>(static_cast<std::size_t>(2 * room * workers)), p);
  }

  template <class Exec, class Layer>
  void run(Exec const& on, cs::span<Layer const> layers, score_rows out) const {
    auto const tasks_per_head = [&](Layer const& l) -> index {
      index const n = Scorer::partitions(params_, l.tokens()).count;
      return n == 0 ? 1 : (n + partitions_per_task - 1) / partitions_per_task;
    };
    tasks_.fill([&](index v) {
      auto const& l = layers[static_cast<std::size_t>(v)];
      return l.heads() * tasks_per_head(l);
    });
    on.for_each(tasks_.count(), [&](index i, int worker) {
      auto const [v, task] = tasks_.find(i);
      auto const& l = layers[static_cast<std::size_t>(v)];
      index const each = tasks_per_head(l), head = task / each;
      partition const q = Scorer::partitions(params_, l.tokens());
      float* const score = out.row(v, head, l.tokens());
      if (q.count == 0) return by_recency(score, q.begin, l.tokens());
      float* const share = scratch_ + 2 * room_ * worker;
      index const first = task % each * partitions_per_task;
      for (index p = first; p < q.count && p < first + partitions_per_task; ++p) {
        index const begin = q.begin + p * q.length;
        shares<false>(l.keys, head, begin, q.length, 1.0f, share, share + room_);
        shares<true>(l.values, head, begin, q.length, Scorer::value_share(params_), share, share + room_);
        if constexpr (Scorer::ranked) rank(share, q.length, score + begin);
        else
          for (index j = 0; j < q.length; ++j) score[begin + j] = share[j];
      }
    });
  }

 private:
  score_per_chunk(task_numbers tasks, index room, float* scratch, typename Scorer::params const& p)
      : tasks_(tasks), room_(room), scratch_(scratch), params_(p) {}

  static void by_recency(float* score, index sink, index tokens) {
    for (index t = 0; t < tokens; ++t)
      score[t] = t < sink ? 0.0f : static_cast<float>(t - sink) / static_cast<float>(tokens - sink);
  }

  // share[j] (+)= weight x softmax over the partition of the deviation of token begin + j; u is scratch. A token that
  // is not finite gets NaN, in keys or in values.
  template <bool Add, class View>
  static void shares(View const& rows, index head, index begin, index length, float weight, float* share, float* u) {
    constexpr int D = head_dim_of<View>, n = D / lanes;
    fragment scale[n], offset[n];
    {
      fragment low[n], high[n];
      auto const r0 = row_of(rows, head, begin + length);
      KVSIEVE_UNROLL for (int c = 0; c < n; ++c) low[c] = high[c] = load_row(r0, c * lanes);
      for (index r = 1; r < length; ++r) {
        auto const row = row_of(rows, head, begin + length + r);
        KVSIEVE_UNROLL for (int c = 0; c < n; ++c) Scorer::absorb(low[c], high[c], load_row(row, c * lanes));
      }
      KVSIEVE_UNROLL for (int c = 0; c < n; ++c) Scorer::range_to_line(low[c], high[c], scale[c], offset[c]);
    }
    fragment most(-1.0f);
    for (index r = 0; r < length; r += lanes) {
      fragment sums[lanes], squares[lanes];
      index const here = length - r < lanes ? length - r : lanes;
      for (int j = 0; j < lanes; ++j) {
        sums[j] = squares[j] = fragment(0.0f);
        if (j >= here) continue;
        auto const row = row_of(rows, head, begin + r + j);
        ahead(rows, head, begin + r + j + 2 * length);
        fragment s(0.0f), q(0.0f);
        KVSIEVE_UNROLL for (int c = 0; c < n; ++c) {
          fragment const y = fma(load_row(row, c * lanes), scale[c], offset[c]);
          s = s + y;
          q = fma(y, y, q);
        }
        sums[j] = s;
        squares[j] = q;
      }
      fragment const d = Scorer::deviation(sum_rows(sums), sum_rows(squares), D);
      store(u + r, d);
      for (index j = here; j < lanes; ++j) u[r + j] = -1.0f;
      most = max(most, load(u + r));
    }
    float const top = max_lane(most);
    fragment total(0.0f);
    for (index r = 0; r < length; r += lanes) {
      fragment const d = load(u + r);
      fragment const e = where(d < fragment(0.0f), fragment(0.0f), exp2((d - fragment(top)) * fragment(1.44269504f)));
      total += e;
      // u keeps the sign of a token that takes no part
      store(u + r, where(d < fragment(0.0f), fragment(__builtin_nanf("")), e));
    }
    fragment const factor(weight / sum(total));
    for (index r = 0; r < length; r += lanes) {
      fragment const s = load(u + r) * factor;
      store(share + r, Add ? load(share + r) + s : s);
    }
  }

  // Asks for a row of the reference after next, a few lines for every row that is worked on.
  template <class View>
  KVSIEVE_INLINE static void ahead(View const& rows, index head, index token) {
    if constexpr (contiguous_rows<View>) {
      if (token >= rows.extent(1)) return;
      auto const* p = reinterpret_cast<char const*>(row_of(rows, head, token));
      KVSIEVE_UNROLL for (std::size_t b = 0; b < sizeof(element_of<View>) * head_dim_of<View>; b += 64)
          __builtin_prefetch(p + b, 0, 2);
    }
  }

  task_numbers tasks_;
  index room_;
  float* scratch_;
  typename Scorer::params params_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
