// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of the scorers that hold a chunk against the one behind it: LagKV. Bound by reading keys and values once: the
// rows that serve as a reference are still in the cache when they are scored themselves.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/finite_row.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/rank.hpp>
#include <kvsieve/host/row_sums.hpp>
#include <kvsieve/host/tasks.hpp>
#include <kvsieve/score/pattern.hpp>

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
                           a.take<float>(static_cast<std::size_t>(3 * room * workers)), p);
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
      float* const share = scratch_ + 3 * room_ * worker;
      auto* const usable = reinterpret_cast<bool*>(share + 2 * room_);
      index const first = task % each * partitions_per_task;
      for (index p = first; p < q.count && p < first + partitions_per_task; ++p) {
        index const begin = q.begin + p * q.length;
        float const value_share = Scorer::value_share(params_);
        bool clean = shares<false, false>(l.keys, head, begin, q.length, 1.0f, nullptr, share, share + room_);
        clean &= shares<true, false>(l.values, head, begin, q.length, value_share, nullptr, share, share + room_);
        // Rare: look which tokens are finite, leave the others out of ranges and shares, and bound y.
        if (!clean) {
          for (index t = 0; t < 2 * q.length; ++t)
            usable[t] = finite_row(l.keys, head, begin + t) && finite_row(l.values, head, begin + t);
          (void)shares<false, true>(l.keys, head, begin, q.length, 1.0f, usable, share, share + room_);
          (void)shares<true, true>(l.values, head, begin, q.length, value_share, usable, share, share + room_);
        }
        if constexpr (Scorer::ranked)
          rank(share, q.length, score + begin);
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

  // share[j] (+)= weight x softmax over the partition of the deviation of token begin + j; u is scratch. `usable` says
  // which of the 2 x length tokens take part; without it all do, and false is returned if one of them is not finite or
  // so far outside its range that y has to be bounded.
  template <bool Add, bool Checked, class View>
  [[nodiscard]] static bool shares(View const& rows, index head, index begin, index length, float weight,
                                   bool const* usable, float* share, float* u) {
    constexpr int D = head_dim_of<View>, n = D / lanes;
    fragment scale[n], offset[n];
    bool clean = true;
    {
      fragment low[n], high[n], zeros[n];
      KVSIEVE_UNROLL for (int c = 0; c < n; ++c) {
        low[c] = fragment(__builtin_inff());
        high[c] = fragment(-__builtin_inff());
        zeros[c] = fragment(0.0f);
      }
      auto const look = [&](index r) {
        auto const row = row_of(rows, head, begin + length + r);
        fragment x[n];
        load_channels<D>(row, 0, x);
        KVSIEVE_UNROLL for (int c = 0; c < n; ++c) {
          Scorer::absorb(low[c], high[c], x[c]);
          zeros[c] = fma(x[c], fragment(0.0f), zeros[c]);  // a chain per fragment: one would be the longest of all
        }
      };
      if constexpr (!Checked)
        for (index r = 0; r < length; ++r) look(r);
      else
        for (index r = 0; r < length; ++r)
          if (usable[length + r]) look(r);
      clean = sum(sum_terms<D>([&](int c) { return zeros[c]; })) == 0.0f;
      KVSIEVE_UNROLL for (int c = 0; c < n; ++c) Scorer::range_to_line(low[c], high[c], scale[c], offset[c]);
    }
    fragment most(-1.0f), least(0.0f), largest(0.0f);
    for (index r = 0; r < length; r += lanes) {
      fragment sums[lanes], squares[lanes];
      index const here = length - r < lanes ? length - r : lanes;
      auto const add_up = [&](int j) {
        auto const row = row_of(rows, head, begin + r + j);
        ahead(rows, head, begin + r + j + 2 * length);
        fragment x[n];
        load_channels<D>(row, 0, x);
        auto const at = [&](int c) {
          fragment const y = fma(x[c], scale[c], offset[c]);
          return Checked ? Scorer::bounded(y) : y;
        };
        fragment y = at(0), s = y, q = y * y;
        KVSIEVE_UNROLL for (int c = 1; c < n; ++c) {
          y = at(c);
          s = s + y;
          q = fma(y, y, q);
        }
        sums[j] = s;
        squares[j] = q;
      };
      if (here == lanes) {
        for (int j = 0; j < lanes; ++j) add_up(j);
      } else {
        for (int j = 0; j < lanes; ++j) sums[j] = squares[j] = fragment(0.0f);
        for (int j = 0; j < here; ++j) add_up(j);
      }
      fragment const q = sum_rows(squares), d = Scorer::deviation(sum_rows(sums), q, D);
      least = min(least, d);
      largest = max(largest, q);
      store(u + r, d);
      for (index j = 0; Checked && j < here; ++j)
        if (!usable[r + j]) u[r + j] = -1.0f;
      for (index j = here; j < lanes; ++j) u[r + j] = -1.0f;
      most = max(most, load(u + r));
    }
    clean = clean && max_lane(-least) == 0.0f && max_lane(largest) <= Scorer::farthest * Scorer::farthest;
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
    return clean;
  }

  // Asks for a row of the reference after next. Rows of 16-bit elements gain by it (a third less time); float rows
  // arrive as fast without, and lose to the extra instructions.
  template <class View>
  KVSIEVE_INLINE static void ahead(View const& rows, index head, index token) {
    if constexpr (contiguous_rows<View> && sizeof(element_of<View>) == 2) {
      auto const* p = reinterpret_cast<char const*>(row_of(rows, head, token < rows.extent(1) ? token : 0));
      KVSIEVE_UNROLL for (std::size_t b = 0; b < 2 * head_dim_of<View>; b += 64) __builtin_prefetch(p + b, 0, 2);
    }
  }

  task_numbers tasks_;
  index room_;
  float* scratch_;
  typename Scorer::params params_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
