// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Scores of rows that are a matter of sums over a key, a value or both, the shares of these sums in a block, and scores
// as shares of a head. Bound by reading the cache.
#pragma once
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/row/row_sums.hpp>
#include <kvsieve/host/tasks.hpp>
#include <kvsieve/score/row_scores.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Scorer>
class row_map {
  static constexpr int lanes = fragment::lanes;
  static constexpr bool keys = row_scores::reads_keys<Scorer>, values = row_scores::reads_values<Scorer>;

 public:
  /// Two sums of a row have to wait for the rest of their block.
  static constexpr bool waits = row_scores::in_blocks<Scorer> && keys && values;

  explicit row_map(typename Scorer::params const& p) : params_(p) {}

  /// Rows of a unit of work: whole blocks, and whole fragments, so that no two units write to the same one.
  [[nodiscard]] index segment() const {
    if constexpr (row_scores::in_blocks<Scorer>)
      if (index const block = Scorer::block(params_); block > 0) {
        index step = block;
        while (step % lanes != 0) step += block;
        return (segment_rows + step - 1) / step * step;
      }
    return segment_rows;
  }
  [[nodiscard]] index segments_of(index tokens) const { return (tokens + segment() - 1) / segment(); }

  /// Scores rows [first, last) of a head; `second` has room for as many, where sums wait.
  template <class Layer>
  void run(Layer const& l, index view, index head, index first, index last, float* score,
           [[maybe_unused]] float* second) const {
    constexpr int D = Layer::head_dim, n = fragments_of<D>;
    [[maybe_unused]] fragment table[n];
    if constexpr (row_scores::has_table<Scorer>) {
      float const* const row =
          Scorer::table(params_, static_cast<int>(view), l.heads(), D) + static_cast<std::ptrdiff_t>(head) * D;
      read_table<typename Layer::keys_type, D>(row, table);
    }
    for (index r = first; r < last; r += lanes) {
      if constexpr (row_scores::in_blocks<Scorer>) {
        if constexpr (keys) store(score + r, key_sums<D>(l.keys, head, r, last - r, table));
        if constexpr (values)
          store(keys ? second + (r - first) : score + r, value_sums<D>(l.values, head, r, last - r));
      } else if constexpr (keys && values) {
        fragment const key = key_sums<D>(l.keys, head, r, last - r, table);
        store(score + r, row_scores::score<Scorer>(params_, key, value_sums<D>(l.values, head, r, last - r)));
      } else if constexpr (values) {
        store(score + r, row_scores::score<Scorer>(params_, value_sums<D>(l.values, head, r, last - r)));
      } else {
        store(score + r, row_scores::score<Scorer>(params_, key_sums<D>(l.keys, head, r, last - r, table)));
      }
    }
    if constexpr (row_scores::in_blocks<Scorer>) join(score + first, second, last - first);
  }

  /// Divides the scores of a head by their sum.
  static void share_out(float* score, index tokens) {
    float const total = total_of(score, tokens);
    fragment const factor(total > 0.0f ? 1.0f / total : 0.0f);
    for (index t = 0; t < tokens; t += lanes) store(score + t, load(score + t) * factor);
  }

 private:
  template <int D, class View>
  KVSIEVE_INLINE static fragment key_sums(View const& view, index head, index first, index rows,
                                          [[maybe_unused]] fragment const* table) {
    return sum_row_block<D>(view, head, first, rows, [&](fragment k, [[maybe_unused]] int c) {
      if constexpr (row_scores::has_table<Scorer>)
        return Scorer::term(k, table[c]);
      else
        return Scorer::term(k);
    });
  }
  template <int D, class View>
  KVSIEVE_INLINE static fragment value_sums(View const& view, index head, index first, index rows) {
    return sum_row_block<D>(view, head, first, rows, [](fragment v, int) { return Scorer::value_term(v); });
  }

  // Channels in the order in which load_channels gives those of a row.
  template <class View, int D>
  static void read_table(float const* row, fragment* to) {
    float ordered[D];
    for (int c = 0; c < fragments_of<D>; ++c)
      for (int lane = 0; lane < lanes; ++lane) ordered[c * lanes + lane] = row[channel_in<View>(c, lane)];
    KVSIEVE_UNROLL for (int c = 0; c < fragments_of<D>; ++c) to[c] = load(ordered + c * lanes);
  }

  /// Sum of the finite ones among x[0] to x[n - 1].
  static float total_of(float const* x, index n) {
    fragment sums(0.0f);
    index t = 0;
    for (; t + lanes <= n; t += lanes) {
      fragment const s = load(x + t);
      sums += where(s - s == fragment(0.0f), s, fragment(0.0f));
    }
    float total = sum(sums);
    for (; t < n; ++t) total += finite(x[t]) ? x[t] : 0.0f;
    return total;
  }

  // Sums of a segment become scores. Every block is a loop of its own, since blocks are of any length.
  void join(float* first, [[maybe_unused]] float* second, index rows) const {
    index const block = Scorer::block(params_) > 0 ? Scorer::block(params_) : rows;
    for (index b = 0; b < rows; b += block) {
      index const n = rows - b < block ? rows - b : block;
      float const one = of_total(first + b, n);
      [[maybe_unused]] float other = 1.0f;
      if constexpr (waits) other = of_total(second + b, n);
      index t = 0;
      for (; t + lanes <= n; t += lanes) {
        fragment const x = load(first + b + t) * fragment(one);
        if constexpr (waits)
          store(first + b + t, row_scores::score<Scorer>(params_, x, load(second + b + t) * fragment(other)));
        else
          store(first + b + t, row_scores::score<Scorer>(params_, x));
      }
      for (; t < n; ++t) {
        float const x = first[b + t] * one;
        if constexpr (waits)
          first[b + t] = row_scores::score<Scorer>(params_, x, second[b + t] * other);
        else
          first[b + t] = row_scores::score<Scorer>(params_, x);
      }
    }
  }
  /// What makes shares of a block's sums.
  [[nodiscard]] float of_total(float const* x, index n) const {
    if (Scorer::block(params_) == 0) return 1.0f;
    float const total = total_of(x, n);
    return total > 0.0f ? 1.0f / total : 0.0f;
  }

  typename Scorer::params params_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
