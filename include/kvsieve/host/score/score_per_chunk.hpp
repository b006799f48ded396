// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of the scorers that hold a chunk against the one behind it: LagKV. Bound by reading keys and values once: the
// rows that serve as a reference are still in the cache when they are scored themselves.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/fragment.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/finite_row.hpp>
#include <kvsieve/host/row/row_sums.hpp>
#include <kvsieve/host/score/rank.hpp>
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
      index const last = first + partitions_per_task < q.count ? first + partitions_per_task : q.count;
      lines<typename Layer::keys_type> of_keys;
      lines<typename Layer::values_type> of_values;
      for (index p = first; p < last; ++p) {
        index const begin = q.begin + p * q.length;
        float const value_share = Scorer::value_share(params_);
        chunk const c{head, begin, q.length, p == first, p + 1 == last};
        bool clean = shares<false, false>(l.keys, c, 1.0f, nullptr, of_keys, share, share + room_);
        clean &= shares<true, false>(l.values, c, value_share, nullptr, of_values, share, share + room_);
        // Rare: look which tokens are finite, leave the others out of ranges and shares, and bound y.
        if (!clean) {
          for (index t = 0; t < 2 * q.length; ++t)
            usable[t] = finite_row(l.keys, head, begin + t) && finite_row(l.values, head, begin + t);
          lines<typename Layer::keys_type> keys_checked;
          lines<typename Layer::values_type> values_checked;
          (void)shares<false, true>(l.keys, c, 1.0f, usable, keys_checked, share, share + room_);
          (void)shares<true, true>(l.values, c, value_share, usable, values_checked, share, share + room_);
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

  struct chunk {
    index head, begin, length;
    bool first, last;  // of those that one task scores in turn
  };

  // What a partition is seen through: y - 1/2 = x * scale + offset, and whether all of its reference is finite.
  template <class View>
  struct lines {
    static constexpr int n = head_dim_of<View> / lanes;
    fragment scale[n], offset[n];
    bool clean;
  };

  // The smallest and the largest of each channel, row after row.
  template <class View>
  class ranges {
    static constexpr int D = head_dim_of<View>, n = D / lanes;

   public:
    KVSIEVE_INLINE ranges() {
      KVSIEVE_UNROLL for (int c = 0; c < n; ++c) {
        low_[c] = fragment(__builtin_inff());
        high_[c] = fragment(-__builtin_inff());
        total_[c] = fragment(0.0f);
      }
    }
    template <class Row>
    KVSIEVE_INLINE void meet(Row const& row) {
      fragment x[n];
      load_channels<D>(row, 0, x);
      KVSIEVE_UNROLL for (int c = 0; c < n; ++c) {
        Scorer::absorb(low_[c], high_[c], x[c]);
        total_[c] += x[c];
      }
    }
    KVSIEVE_INLINE void close(lines<View>& to) const {
      KVSIEVE_UNROLL for (int c = 0; c < n; ++c) Scorer::range_to_line(low_[c], high_[c], to.scale[c], to.offset[c]);
      to.clean = sum(sum_terms<D>([&](int c) { return total_[c] - total_[c]; })) == 0.0f;
    }

   private:
    fragment low_[n], high_[n], total_[n];  // a sum shows what is not finite; min and max pass NaN over
  };

#if KVSIEVE_HOST_VECTORS
  // Elements of 16 bits as integers of the same order, two for each lane: -NaN, -infinity, ..., infinity, NaN.
  struct ordered_pairs {
    typedef short vector __attribute__((vector_size(4 * lanes)));
    vector v;
    friend KVSIEVE_INLINE ordered_pairs min(ordered_pairs a, ordered_pairs b) { return {b.v < a.v ? b.v : a.v}; }
    friend KVSIEVE_INLINE ordered_pairs max(ordered_pairs a, ordered_pairs b) { return {a.v < b.v ? b.v : a.v}; }
    // Of an element's bits, and back.
    static KVSIEVE_INLINE vector turned(vector x) { return x ^ ((x >> 15) & 0x7fff); }
  };
  template <class View>
  static constexpr bool in_pairs =
      contiguous_rows<View> && sizeof(element_of<View>) == 2 && head_dim_of<View> % (2 * lanes) == 0;

  // Rows of 16-bit elements need not be widened for it.
  template <class View>
    requires in_pairs<View>
  class ranges<View> {
    static constexpr int D = head_dim_of<View>, n = D / lanes;
    using T = element_of<View>;

   public:
    KVSIEVE_INLINE ranges() {
      KVSIEVE_UNROLL for (int c = 0; c < n / 2; ++c) {
        low_[c].v = typename ordered_pairs::vector{} + 0x7fff;
        high_[c].v = ~low_[c].v;
      }
    }
    KVSIEVE_INLINE void meet(T const* row) {
      KVSIEVE_UNROLL for (int c = 0; c < n / 2; ++c) {
        typename ordered_pairs::vector x;
        __builtin_memcpy(&x, row + 2 * lanes * c, sizeof x);
        Scorer::absorb(low_[c], high_[c], ordered_pairs{ordered_pairs::turned(x)});
      }
    }
    KVSIEVE_INLINE void close(lines<View>& to) const {
      T ends[2][D];
      KVSIEVE_UNROLL for (int c = 0; c < n / 2; ++c) {
        auto const low = ordered_pairs::turned(low_[c].v), high = ordered_pairs::turned(high_[c].v);
        __builtin_memcpy(&ends[0][2 * lanes * c].bits, &low, sizeof low);
        __builtin_memcpy(&ends[1][2 * lanes * c].bits, &high, sizeof high);
      }
      fragment low[n], high[n];
      load_channels<D>(static_cast<T const*>(ends[0]), 0, low);
      load_channels<D>(static_cast<T const*>(ends[1]), 0, high);
      KVSIEVE_UNROLL for (int c = 0; c < n; ++c) Scorer::range_to_line(low[c], high[c], to.scale[c], to.offset[c]);
      fragment const zero(0.0f);
      to.clean = sum(sum_terms<D>([&](int c) { return fma(low[c], zero, high[c] * zero); })) == 0.0f;
    }

   private:
    ordered_pairs low_[n / 2], high_[n / 2];
  };
#endif

  // Meets `length` rows from `begin` on, or those of them that are usable.
  template <class View>
  static void look_at(View const& rows, index head, index begin, index length, bool const* usable, lines<View>& to) {
    ranges<View> r;
    for (index t = 0; t < length; ++t) {
      ahead(rows, head, begin + t, 8);
      if (usable == nullptr || usable[t]) r.meet(row_of(rows, head, begin + t));
    }
    r.close(to);
  }

  // Rows of 16-bit elements leave registers and time for it: the reference of the next partition is met row by row
  // while this one is scored, so it arrives from memory meanwhile. Floats are faster one after the other.
  template <class View>
  static constexpr bool woven = sizeof(element_of<View>) == 2;

  // share[j] (+)= weight x softmax over the partition of the deviation of token begin + j; u is scratch. If Checked,
  // `usable` says which of the 2 x length tokens take part. Without it all do, and false is returned if one of them is
  // not finite or so far outside its range that y has to be bounded. `line` goes from call to call.
  template <bool Add, bool Checked, class View>
  [[nodiscard]] static bool shares(View const& rows, chunk const& at, float weight, bool const* usable,
                                   lines<View>& line, float* share, float* u) {
    constexpr int D = head_dim_of<View>, n = D / lanes;
    constexpr bool weave = woven<View> && !Checked;
    index const head = at.head, begin = at.begin, length = at.length;
    if (!weave || at.first) look_at(rows, head, begin + length, length, Checked ? usable + length : nullptr, line);
    // The last one of a task has nothing to come and meets its own reference again.
    index const next = at.last ? begin + length : begin + 2 * length;
    bool clean = line.clean;
    fragment scale[n], offset[n];
    KVSIEVE_UNROLL for (int c = 0; c < n; ++c) {
      scale[c] = line.scale[c];
      offset[c] = line.offset[c];
    }
    ranges<View> coming;
    fragment most(-1.0f), largest(0.0f);
    for (index r = 0; r < length; r += lanes) {
      fragment sums[lanes], squares[lanes];
      index const here = length - r < lanes ? length - r : lanes;
      // Rows from j on, which share the loads of scale and offset.
      auto const add_up = [&](index j, auto const&... row) {
        constexpr int count = sizeof...(row);
        fragment s[count], q[count];
        KVSIEVE_UNROLL for (int c = 0; c < n; c += 2) {
          fragment x[count][2];
          int at_row = 0;
          (load_channels<D>(row, c, x[at_row++]), ...);
          KVSIEVE_UNROLL for (int k = 0; k < 2; ++k) {
            if (c + k >= n) continue;
            for (int i = 0; i < count; ++i) {
              fragment y = fma(x[i][k], scale[c + k], offset[c + k]);
              if (Checked) y = Scorer::bounded(y);
              s[i] = c + k == 0 ? y : s[i] + y;
              q[i] = c + k == 0 ? y * y : fma(y, y, q[i]);
            }
          }
        }
        for (int i = 0; i < count; ++i) {
          sums[j + i] = s[i];
          squares[j + i] = q[i];
        }
      };
      auto const row = [&](index j) { return row_of(rows, head, begin + r + j); };
      auto const reference = [&](index j) { return row_of(rows, head, next + r + j); };
      index j = 0;
      for (; j + 2 <= here; j += 2) {
        if constexpr (weave) {
          for (index i = j; i < j + 2; ++i) {
            ahead(rows, head, next + r + i, 32);
            coming.meet(reference(i));
          }
        } else if constexpr (!Checked) {
          // Half of what is met next, so that memory does not wait meanwhile.
          ahead(rows, head, begin + (r + j) / 2, 2 * length);
        }
        add_up(j, row(j), row(j + 1));
      }
      for (; j < here; ++j) {
        if constexpr (weave) coming.meet(reference(j));
        add_up(j, row(j));
      }
      for (; j < lanes; ++j) sums[j] = squares[j] = fragment(0.0f);
      fragment const q = sum_rows(squares), d = Scorer::deviation(sum_rows(sums), q, D);
      largest = max(largest, where(d < fragment(0.0f), fragment(__builtin_inff()), q));
      store(u + r, d);
      for (j = 0; Checked && j < here; ++j)
        if (!usable[r + j]) u[r + j] = -1.0f;
      for (j = here; j < lanes; ++j) u[r + j] = -1.0f;
      most = max(most, load(u + r));
    }
    if constexpr (weave) coming.close(line);
    clean = clean && max_lane(largest) <= Scorer::farthest * Scorer::farthest;
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

  // Asks for a row `far` rows before it is met: next to a second stream it does not arrive in time by itself, nor
  // across pages. A part of the lines, or the first level as target gain less.
  template <class View>
  KVSIEVE_INLINE static void ahead(View const& rows, index head, index token, index far) {
    if constexpr (contiguous_rows<View>) {
      token += far;
      auto const* p = reinterpret_cast<char const*>(row_of(rows, head, token < rows.extent(1) ? token : 0));
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
