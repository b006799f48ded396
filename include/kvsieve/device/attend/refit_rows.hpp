// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies of value refit that read and write rows: the weights of the kept entries and what observed queries
// miss, and the values with what they are moved by.
#pragma once
#include <cuda/std/cmath>

#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/device/attend/attend_segment.hpp>
#include <kvsieve/device/call/open_plan.hpp>

namespace kvsieve::inline v0 {
namespace device {

/// Where the matrices of one view are, in double: those of each head one behind another. n is the entries that a head
/// keeps, m its query rows; the smaller of them is the side of what is factored.
struct refit_memory {
  double* weights;          ///< A: [heads, rows, entries]
  double* rest;             ///< what is missing: [heads, rows, D]
  double* normal;           ///< [heads, side, side]
  double* moves;            ///< dV: [heads, entries, D]
  int* failed;              ///< [heads]: not 0 where what was to be factored is not positive definite
  int rows, entries, side;  ///< m, and the most that a head has

  /// Entries rather than rows give the matrix to factor.
  [[nodiscard]] KVSIEVE_HD bool by_entries(int n) const { return n <= rows; }
  [[nodiscard]] KVSIEVE_HD int side_of(int n) const { return by_entries(n) ? n : rows; }
  [[nodiscard]] KVSIEVE_HD double* weights_of(int head) const { return weights + index{head} * rows * entries; }
  [[nodiscard]] KVSIEVE_HD double* normal_of(int head) const { return normal + index{head} * side * side; }
  template <int D>
  [[nodiscard]] KVSIEVE_HD double* rest_of(int head) const {
    return rest + index{head} * rows * D;
  }
  template <int D>
  [[nodiscard]] KVSIEVE_HD double* moves_of(int head) const {
    return moves + index{head} * entries * D;
  }
  /// What is solved for in place.
  template <int D>
  [[nodiscard]] KVSIEVE_HD double* unknowns_of(int head, int n) const {
    return by_entries(n) ? moves_of<D>(head) : rest_of<D>(head);
  }
};

/// One view of a launch that reads rows.
template <row_view Queries, class Full, class Kept>
struct refit_part {
  Queries queries;  ///< [heads * group, observed, D]
  Full full;        ///< [heads, tokens, D]
  Kept kept;        ///< [heads, entries, D]
  kept_lists lists;
  refit_memory memory;
  int tokens;  ///< of the plan
  int stride;  ///< every so many queries
};
template <row_view Queries, class Full, class Kept>
struct refit_args {
  batch<refit_part<Queries, Full, Kept>> views;
};

/// Block (query row, head, view): a row of A, and of what is missing.
template <row_view Queries, class Full, class Kept>
struct weigh_entries_body {
  static constexpr int D = Full::head_dim, lanes = 8, chunk = 512;
  static constexpr bool turned = is_rotated<typename Kept::keys_type>;
  static_assert(!is_rotated<typename Full::keys_type> && !is_rotated<typename Full::values_type> &&
                    !is_rotated<typename Kept::values_type>,
                "kvsieve::refit_values on the device reads rotated rows as kept keys alone: use the host");
  using args = refit_args<Queries, Full, Kept>;

  template <block Block>
  struct shared {
    static constexpr int groups = Block::threads > D ? Block::threads / D : 1;  // that share the tokens of a chunk
    float query[D], turned_query[turned ? D : 1], weight[chunk];
    double sum[groups * D], part[Block::threads], total;
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>& s) {
    auto const& view = a.views.part[w.z];
    int const n = view.lists.count(w.y);
    if (w.x >= view.memory.rows || n == 0) return;
    int const observed = static_cast<int>(view.queries.extent(1)), each = pieces(observed, view.stride);
    int const group = view.memory.rows / each;
    index const head = index{w.y} * group + w.x / each;
    int const i = (observed - 1) % view.stride + w.x % each * view.stride;
    index const keys = readable_tokens(view.full.keys, w.y), values = readable_tokens(view.full.values, w.y);
    int const visible = static_cast<int>(keys < values ? keys : values) - (observed - 1 - i);
    float const scale = static_cast<float>(1 / __builtin_sqrt(static_cast<double>(D)));
    for (int d = b.rank(); d < D; d += Block::threads) {
      s.query[d] = to_float(view.queries(head, i, d)) * scale;
      if constexpr (turned) s.turned_query[d] = s.query[d];
    }
    if constexpr (turned)
      rotate_rows<D>(b, s.turned_query, 1);
    else
      b.sync();
    for (int d = b.rank(); d < shared<Block>::groups * D; d += Block::threads) s.sum[d] = 0;

    // What the query reads from the whole cache, a chunk of it at a time against the largest logit so far.
    float most = -__builtin_inff();
    double total = 0;
    for (int first = 0; first < visible; first += chunk) {
      int const here = visible - first < chunk ? visible - first : chunk;
      float const top = logits(b, s, s.query, view.full.keys, w.y, first, here);
      float const next = most < top ? top : most;
      double const down = most == next ? 1.0 : cs::exp(static_cast<double>(most) - static_cast<double>(next));
      for (int t = b.rank(); t < here; t += Block::threads) s.weight[t] = ::expf(s.weight[t] - next);
      most = next;
      total = total * down + sum_of_weights(b, s, here);
      add(b, s, view.full.values, w.y, first, here, down, 1.0);
    }
    for (int d = b.rank(); d < shared<Block>::groups * D; d += Block::threads) s.sum[d] /= total;

    // The same over what is kept of the first tokens, and the rows behind them, which are the queries' own.
    double* const weight = view.memory.weights_of(w.y) + index{w.x} * view.memory.entries;
    int const* const list = view.lists.of(w.y);
    int const seen = count_below(list, n, visible);
    float again = -__builtin_inff();
    for (int first = 0; first < seen; first += chunk) {
      int const here = seen - first < chunk ? seen - first : chunk;
      logits(b, s, turned ? s.turned_query : s.query, view.kept.keys, w.y, first, here);
      float own = -__builtin_inff();
      for (int e = b.rank(); e < here; e += Block::threads) {
        float z = s.weight[e];
        if constexpr (!cs::is_same_v<typename Kept::bias_type, no_bias>) z += view.kept.bias(w.y, first + e);
        weight[first + e] = static_cast<double>(z);
        own = own < z ? z : own;
      }
      own = b.all_max(own, s.reduce);
      again = again < own ? own : again;
    }
    for (int first = view.tokens; first < visible; first += chunk) {
      int const here = visible - first < chunk ? visible - first : chunk;
      float const top = logits(b, s, s.query, view.full.keys, w.y, first, here);
      again = again < top ? top : again;
      b.sync();
    }
    double const top = static_cast<double>(again);
    double own = 0;
    for (int e = b.rank(); e < n; e += Block::threads) own += weight[e] = e < seen ? cs::exp(weight[e] - top) : 0.0;
    double sum = sum_of(b, s, own);
    for (int first = view.tokens; first < visible; first += chunk) {
      int const here = visible - first < chunk ? visible - first : chunk;
      own_weights(b, s, view.full.keys, w.y, first, here, top);
      sum += sum_of_weights(b, s, here);
    }
    double* const missing = view.memory.template rest_of<D>(w.y) + index{w.x} * D;
    if (!(sum > 0)) {  // it sees nothing that is kept: there is nothing to fit
      for (int e = b.rank(); e < n; e += Block::threads) weight[e] = 0;
      for (int d = b.rank(); d < D; d += Block::threads) missing[d] = 0;
      return;
    }
    for (int e = b.rank(); e < n; e += Block::threads) weight[e] /= sum;
    b.sync();
    for (int at = b.rank(); at < shared<Block>::groups * D; at += Block::threads) {
      int const d = at % D;
      for (int e = at / D; e < seen; e += shared<Block>::groups)
        if (weight[e] != 0) s.sum[at] -= weight[e] * static_cast<double>(to_float(view.kept.values(w.y, e, d)));
    }
    for (int first = view.tokens; first < visible; first += chunk) {
      int const here = visible - first < chunk ? visible - first : chunk;
      own_weights(b, s, view.full.keys, w.y, first, here, top);
      b.sync();
      add(b, s, view.full.values, w.y, first, here, 1.0, -1.0 / sum);
    }
    b.sync();
    for (int d = b.rank(); d < D; d += Block::threads) {
      double all = 0;
      for (int g = 0; g < shared<Block>::groups; ++g) all += s.sum[g * D + d];
      missing[d] = all;
    }
  }

 private:
  /// Products with rows [first, first + here) to s.weight; returns the largest. Ends with a sync.
  template <block Block, row_view Rows>
  KVSIEVE_HD static float logits(Block& b, shared<Block>& s, float const* query, Rows const& rows, int head, int first,
                                 int here) {
    auto const tile = b.template tile<lanes>();
    float most = -__builtin_inff();
    b.sync();  // what was there is used up
    for (int t = tile.index(); t < here; t += Block::threads / lanes) {
      auto const row = stored_row_of(rows, head, first + t);
      float z = 0;
      for (int d = tile.rank(); d < D; d += lanes) z = query[d] * to_float(row[d]) + z;
      z = tile.all_sum(z);
      if (tile.rank() == 0) s.weight[t] = z;
      most = most < z ? z : most;
    }
    return b.all_max(most, s.reduce);
  }
  /// Weights of own rows against `top`, in s.weight.
  template <block Block, row_view Rows>
  KVSIEVE_HD static void own_weights(Block& b, shared<Block>& s, Rows const& rows, int head, int first, int here,
                                     double top) {
    logits(b, s, s.query, rows, head, first, here);
    for (int t = b.rank(); t < here; t += Block::threads)
      s.weight[t] = static_cast<float>(cs::exp(static_cast<double>(s.weight[t]) - top));
  }
  /// The sum over the block, every thread gets it; begins and ends with a sync.
  template <block Block>
  KVSIEVE_HD static double sum_of(Block& b, shared<Block>& s, double own) {
    b.sync();
    s.part[b.rank()] = own;
    b.sync();
    if (b.rank() == 0) {
      double sum = 0;
      for (int i = 0; i < Block::threads; ++i) sum += s.part[i];
      s.total = sum;
    }
    b.sync();
    return s.total;
  }
  template <block Block>
  KVSIEVE_HD static double sum_of_weights(Block& b, shared<Block>& s, int here) {
    b.sync();
    double own = 0;
    for (int t = b.rank(); t < here; t += Block::threads) own += static_cast<double>(s.weight[t]);
    return sum_of(b, s, own);
  }
  /// s.sum = s.sum * down + factor * weights * rows.
  template <block Block, row_view Rows>
  KVSIEVE_HD static void add(Block& b, shared<Block>& s, Rows const& rows, int head, int first, int here, double down,
                             double factor) {
    constexpr int groups = shared<Block>::groups;
    for (int at = b.rank(); at < groups * D; at += Block::threads) {
      double sum = 0;
      for (int t = at / D; t < here; t += groups)
        sum += static_cast<double>(s.weight[t]) * static_cast<double>(to_float(rows(head, first + t, at % D)));
      s.sum[at] = s.sum[at] * down + factor * sum;
    }
  }
};

/// One view of the last launch.
template <row_view Values, row_view Out>
struct refit_out_part {
  Values values;
  Out out;
  kept_lists lists;
  refit_memory memory;
};
template <row_view Values, row_view Out>
struct refit_out_args {
  batch<refit_out_part<Values, Out>> views;
};
/// Block (segment of entries, head, view): values with what they are moved by; those of an entry that is not finite, or
/// of a head that was not solved, stay. 8 threads have an entry.
template <row_view Values, row_view Out>
struct move_values_body {
  static constexpr int D = head_dim_of<Out>, lanes = 8, rows = 64;
  using args = refit_out_args<Values, Out>;
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, args const& a, work w, shared<Block>&) {
    auto const& view = a.views.part[w.z];
    auto const tile = b.template tile<lanes>();
    int const n = view.lists.count(w.y), first = w.x * rows, last = n - first < rows ? n : first + rows;
    double const* const moves = view.memory.template moves_of<D>(w.y);
    bool const usable = view.memory.failed[w.y] == 0;
    for (int e = first + tile.index(); e < last; e += Block::threads / lanes) {
      float beyond = 0;
      for (int d = tile.rank(); d < D; d += lanes)
        beyond = moves[index{e} * D + d] - moves[index{e} * D + d] == 0.0 ? beyond : 1.0f;
      bool const moved = tile.all_max(beyond) == 0.0f && usable;
      for (int d = tile.rank(); d < D; d += lanes) {
        float const x = to_float(view.values(w.y, e, d));
        view.out(w.y, e, d) = moved ? static_cast<float>(static_cast<double>(x) + moves[index{e} * D + d]) : x;
      }
    }
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
