// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Driver of the weight by projected values: norms of a table's product with every value, joined over a group.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/tables.hpp>
#include <kvsieve/host/on.hpp>
#include <kvsieve/host/row/block_product.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Weigh>
class project_values {
  static constexpr int lanes = fragment::lanes;

 public:
  using params = typename Weigh::params;

  /// Scratch, views being taken in turn: for L2 the Gram matrices of a layer, a row of weights for each head, and for
  /// each worker the values of a task and a part of the table.
  template <class Layer>
  static project_values carve(arena& a, cs::span<Layer const> layers, int workers, params const& p) {
    constexpr index D = Layer::head_dim;
    index longest = 0;
    for (auto const& l : layers) longest = longest < l.tokens() ? l.tokens() : longest;
    index const heads = layers.empty() ? 0 : layers[0].heads();
    project_values s(p, round_up<index>(longest, 16));
    if constexpr (Weigh::quadratic) s.gram_ = a.take<float>(static_cast<std::size_t>(index{p.query_heads} * D * D));
    s.weight_ = a.take<float>(static_cast<std::size_t>(heads * s.room_));
    s.scratch_room_ = (rows_of_task + packed_outputs) * D + 3 * rows_of_task;
    s.scratch_ = a.take<float>(static_cast<std::size_t>(s.scratch_room_ * workers));
    return s;
  }

  /// Weighs the scores of the first scored(view) tokens of every head; row(view, head) are its scores.
  template <class Exec, class Layer, class Scored, class Row>
  void run(Exec const& on, cs::span<Layer const> layers, Scored const& scored, Row const& row) const {
    constexpr int D = Layer::head_dim;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      auto const& l = layers[i];
      index const v = static_cast<index>(i), heads = l.heads(), tokens = scored(v);
      index const parts = (tokens + rows_of_task - 1) / rows_of_task;
      float const* const output =
          tables::of_view(params_.output, params_.per_layer(D), params_.layer, static_cast<int>(v));
      if constexpr (Weigh::quadratic)
        on.for_each(params_.query_heads, [&](index q, int worker) {
          make_gram<D>(output + q * D, gram_ + q * D * D, scratch_ + scratch_room_ * worker);
        });
      on.for_each(heads * parts, [&](index task, int worker) {
        index const head = task / parts, first = task % parts * rows_of_task;
        index const count = tokens - first < rows_of_task ? tokens - first : rows_of_task;
        find_weights<D>(l.values, head, heads, first, count, output, scratch_ + scratch_room_ * worker);
      });
      on.for_each(heads * parts, [&](index task, int) {
        index const head = task / parts, first = task % parts * rows_of_task;
        index const last = first + rows_of_task < tokens ? first + rows_of_task : tokens;
        float* const score = row(v, head);
        for (index t = first; t < last; t += lanes)
          store(score + t, (load(score + t) + fragment(params_.epsilon)) * weight_of(head, heads, t));
      });
    }
  }

 private:
  /// Values that share what is read of the table.
  static constexpr index rows_of_task = 256;
  static_assert(rows_of_task % product_rows == 0);

  project_values(params const& p, index room) : params_(p), room_(room) {}

  // gram [D, D] = the sum over the entries of the products of two channels; `slice` has rows of query_heads * D.
  template <int D>
  void make_gram(float const* slice, float* gram, float* packed) const {
    index const stride = index{params_.query_heads} * D;
    for (index from = 0; from < params_.hidden; from += packed_outputs) {
      index const entries = params_.hidden - from < packed_outputs ? params_.hidden - from : packed_outputs;
      for (index o = 0; o < entries; ++o)
        for (int d = 0; d < D; ++d) packed[o * D + d] = slice[(from + o) * stride + d];
      if constexpr (D % product_rows == 0) {
        for (index column = 0; column < D; column += product_rows)
          block_product(
              product_table{packed, 1, D}, D, packed + column, entries, D,
              [&](index row, int c) { return from == 0 ? fragment(0.0f) : load(gram + row * D + column + c * lanes); },
              [&](index row, int c, fragment x) { store(gram + row * D + column + c * lanes, x); });
      } else {
        for (int row = 0; row < D; ++row)
          for (int column = 0; column < D; column += lanes) {
            fragment sum = from == 0 ? fragment(0.0f) : load(gram + row * D + column);
            for (index o = 0; o < entries; ++o)
              sum = fma(fragment(packed[o * D + row]), load(packed + o * D + column), sum);
            store(gram + row * D + column, sum);
          }
      }
    }
  }

  // The weights of `count` rows from `first` on.
  template <int D, row_view Values>
  void find_weights(Values const& values, index head, index heads, index first, index count, float const* output,
                    float* turned) const {
    using group = typename Weigh::group;
    float* const packed = turned + rows_of_task * D;
    float *const norm = packed + packed_outputs * D, *const joined = norm + rows_of_task,
                 *const all = joined + rows_of_task;
    for (index r = 0; r < count; r += product_rows)
      turn_rows([&](index i) { return row_of(values, head, first + r + i); }, count - r, 0, D, turned + r * D);
    index const of_group = params_.query_heads / heads;
    for (index g = 0; g < of_group; ++g) {
      find_norms<D>(head * of_group + g, count, output, turned, packed, norm);
      for (index r = 0; r < count; r += lanes) {
        fragment const x = load(norm + r);
        if (g == 0) {
          store(joined + r, x);
          store(all + r, x);
          continue;
        }
        fragment const before = load(joined + r);
        if constexpr (group::additive)
          store(joined + r, before + x);
        else
          store(joined + r, max(before, x));
        store(all + r, load(all + r) + x);  // a maximum passes NaN over
      }
    }
    fragment const factor(group::result(1.0f, static_cast<int>(of_group)));
    for (index r = 0; r < count; r += lanes) {
      fragment const sum = load(all + r);
      store(weight_ + head * room_ + first + r,
            where(sum - sum == fragment(0.0f), load(joined + r) * factor, fragment(__builtin_nanf(""))));
    }
  }

  // Norms of the product of one query head's slice with `count` turned rows.
  template <int D>
  void find_norms(index q, index count, [[maybe_unused]] float const* output, float const* turned,
                  [[maybe_unused]] float* packed, float* norm) const {
    auto const zero = [](index, int) { return fragment(0.0f); };
    if constexpr (Weigh::quadratic) {
      for (index r = 0; r < count; r += product_rows) {
        fragment sum[product_columns];
        KVSIEVE_UNROLL for (int c = 0; c < product_columns; ++c) sum[c] = fragment(0.0f);
        // The matrix equals its transpose.
        block_product(product_table{gram_ + q * D * D, 1, D}, D, turned + r * D, D, product_rows, zero,
                      [&](index d, int c, fragment x) {
                        sum[c] = fma(x, load(turned + r * D + d * product_rows + c * lanes), sum[c]);
                      });
        KVSIEVE_UNROLL for (int c = 0; c < product_columns; ++c)
            store(norm + r + c * lanes, sqrt(max(sum[c], fragment(0.0f))));
      }
    } else {
      product_table const slice{output + q * D, index{params_.query_heads} * D, 1};
      for (index from = 0; from < params_.hidden; from += packed_outputs) {
        index const entries = params_.hidden - from < packed_outputs ? params_.hidden - from : packed_outputs;
        product_table const part = pack(slice, from, entries, 0, D, packed);
        for (index r = 0; r < count; r += product_rows) {
          fragment sum[product_columns];
          KVSIEVE_UNROLL for (int c = 0; c < product_columns; ++c) sum[c] =
              from == 0 ? fragment(0.0f) : load(norm + r + c * lanes);
          block_product(part, entries, turned + r * D, D, product_rows, zero,
                        [&](index, int c, fragment x) { sum[c] += max(x, -x); });
          KVSIEVE_UNROLL for (int c = 0; c < product_columns; ++c) store(norm + r + c * lanes, sum[c]);
        }
      }
    }
  }

  [[nodiscard]] fragment weight_of(index head, index heads, index token) const {
    fragment const own = load(weight_ + head * room_ + token);
    if constexpr (!Weigh::over_heads) {
      return own;
    } else {
      fragment sum(0.0f);
      for (index h = 0; h < heads; ++h) sum += load(weight_ + h * room_ + token);
      return where(sum == fragment(0.0f), fragment(0.0f), own / sum);
    }
  }

  params params_;
  index room_, scratch_room_ = 0;
  float* gram_ = nullptr;     ///< [query heads, D, D]
  float* weight_ = nullptr;   ///< [heads, room_]
  float* scratch_ = nullptr;  ///< [workers, scratch_room_]: turned values, a part of the table, norms
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
