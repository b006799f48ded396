// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What observed queries read from the kept entries of a head, and what they miss of the whole cache: the two sides of
// evict::refit_values. Products are floats, the sums of blocks of them double.
#pragma once
#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/entry_bias.hpp>
#include <kvsieve/core/exponent.hpp>
#include <kvsieve/core/math.hpp>
#include <kvsieve/core/views.hpp>
#include <kvsieve/host/row/matrix_product.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

/// A query row that is fitted to.
struct fitted_row {
  index head;     ///< its query head
  index query;    ///< its row there
  index visible;  ///< rows of the cache that it sees, the first ones
};

template <class Queries, class Full, class Kept>
class refit_weights {
  static constexpr int D = Full::head_dim, lanes = fragment::lanes, panel = 128;
  static constexpr int at_once = 4 * static_cast<int>(packed_outputs);  // query rows

 public:
  /// What one worker works in.
  struct room {
    float *query, *packed_query, *packed, *turned, *panel;
    float* logits;   ///< [at_once, tokens of the whole cache]
    float* weights;  ///< [at_once, entries and own rows]
  };
  /// For caches of up to `tokens` rows, of which `entries` are kept and `own` are the queries' own.
  [[nodiscard]] static room carve(arena& a, index tokens, index entries, index own) {
    auto const take = [&](index n) { return a.take<float>(static_cast<std::size_t>(n)); };
    float* const query = take(at_once * D);
    float* const packed_query = take(at_once * D);
    float* const packed = take(packed_floats);
    float* const turned = take(product_rows * D);
    float* const rows = take(panel * D);
    float* const logits = take(at_once * wide(tokens));
    return {query, packed_query, packed, turned, rows, logits, take(at_once * (wide(entries) + wide(own)))};
  }
  /// Floats of a row of `n` numbers, padding included.
  [[nodiscard]] static index wide(index n) { return round_up<index>(n, product_rows); }

  /// `plan_tokens`: rows of the cache behind which the queries' own lie. `list` says which tokens the entries are.
  refit_weights(Queries const& queries, Full const& full, Kept const& kept, index head, index plan_tokens,
                cs::span<int const> list, room const& r)
      : queries_(queries),
        full_(full),
        kept_(kept),
        head_(head),
        tokens_(full.tokens(head)),
        own_(plan_tokens),
        list_(list),
        r_(r) {}

  /// A [count, wide(entries)], and what is missing, [count, D]. row(i) is a fitted_row.
  template <class Row>
  void run(Row const& row, index count, float* a, double* missing) const {
    for (index i = 0; i < count; i += at_once) {
      index const here = count - i < at_once ? count - i : at_once;
      some([&](index j) { return row(i + j); }, here, a + i * wide(entries()), missing + i * D);
    }
  }

 private:
  [[nodiscard]] index entries() const { return static_cast<index>(list_.size()); }

  template <class Row>
  void some(Row const& row, index count, float* a, double* missing) const {
    index const width = wide(tokens_), of_kept = wide(entries()), stride = of_kept + wide(tokens_ - own_);
    constexpr float scale = 1.44269504f;
    fragment const factor(static_cast<float>(1.4426950408889634 / __builtin_sqrt(static_cast<double>(D))));
    for (index i = 0; i < count; ++i) {
      fitted_row const f = row(i);
      auto const from = row_of(queries_, f.head, f.query);
      for (int d = 0; d < D; d += lanes) store(r_.query + i * D + d, load_row(from, d) * factor);
    }
    for (index p = 0; p < count; p += packed_outputs)
      (void)pack({r_.query, D, 1}, p, of_pack(count, p), 0, D, r_.packed_query + p * D);
    products(full_.keys, tokens_, count, r_.logits, width);
    products(kept_.keys, entries(), count, r_.weights, stride);

    for (index i = 0; i < count * D; ++i) missing[i] = 0;
    for (index i = 0; i < count; ++i) {
      fitted_row const f = row(i);
      float* const z = r_.logits + i * width;
      float* const w = r_.weights + i * stride;
      index seen = 0;
      for (; seen < entries() && list_[static_cast<std::size_t>(seen)] < f.visible; ++seen)
        if constexpr (!cs::is_same_v<typename Kept::bias_type, no_bias>) w[seen] += scale * kept_.bias(head_, seen);
      hide(w, seen, of_kept);
      __builtin_memcpy(w + of_kept, z + own_, sizeof(float) * static_cast<std::size_t>(tokens_ - own_));
      hide(w + of_kept, f.visible < own_ ? 0 : f.visible - own_, stride - of_kept);
      hide(z, f.visible, width);
      if (!soften(w, stride)) {  // it sees nothing that is kept: there is nothing to fit
        for (index t = 0; t < width; ++t) z[t] = 0;
        for (index t = 0; t < stride; ++t) w[t] = 0;
      } else {
        (void)soften(z, width);
      }
      __builtin_memcpy(a + i * of_kept, w, sizeof(float) * static_cast<std::size_t>(of_kept));
    }
    add_values(full_.values, 0, tokens_, r_.logits, width, count, 1, missing);
    add_values(kept_.values, 0, entries(), r_.weights, stride, count, -1, missing);
    add_values(full_.values, own_, tokens_ - own_, r_.weights + of_kept, stride, count, -1, missing);
  }
  [[nodiscard]] static index of_pack(index count, index p) {
    return count - p < packed_outputs ? count - p : packed_outputs;
  }

  /// z[i][t] = <query i, key t>, for the first `rows` keys.
  template <class View>
  void products(View const& keys, index rows, index count, float* z, index stride) const {
    for (index t = 0; t < rows; t += product_rows) {
      turn_rows([&](index j) { return row_of(keys, head_, t + j); }, rows - t < product_rows ? rows - t : product_rows,
                0, D, r_.turned);
      for (index p = 0; p < count; p += packed_outputs) {
        index const outputs = of_pack(count, p);
        block_product(
            {r_.packed_query + p * D, 1, outputs}, outputs, r_.turned, D, product_rows,
            [](index, int) { return fragment(0.0f); },
            [&](index o, int c, fragment x) { store(z + (p + o) * stride + t + c * lanes, x); });
      }
    }
  }
  static void hide(float* z, index from, index to) {
    for (index t = from; t < to; ++t) z[t] = -__builtin_inff();
  }
  /// z becomes the softmax of base 2 of its row; false where all of it is hidden. NaN where a logit is NaN or +inf.
  static bool soften(float* z, index width) {
    fragment most(-__builtin_inff()), poison(0.0f);
    fragment const infinite(__builtin_inff()), none(0.0f), nan(__builtin_nanf(""));
    for (index t = 0; t < width; t += lanes) {
      fragment const x = load(z + t);
      most = max(x, most);
      poison = poison + where(x < infinite, none, nan);
    }
    float const top = max_lane(most), wrong = sum(poison);
    if (top == -__builtin_inff() && wrong == 0.0f) return false;
    double total = 0;
    for (index t = 0; t < width; t += panel) {
      fragment part(0.0f);
      for (index i = t; i < width && i < t + panel; i += lanes) {
        fragment const x = exp2(load(z + i) - fragment(top));
        store(z + i, x);
        part = part + x;
      }
      total += static_cast<double>(sum(part));
    }
    fragment const factor(static_cast<float>(1 / total) + wrong);
    for (index t = 0; t < width; t += lanes) store(z + t, load(z + t) * factor);
    return true;
  }
  /// to[i] += sign * weights of row i over values [first, first + rows).
  template <class View>
  void add_values(View const& values, index first, index rows, float const* weights, index stride, index count,
                  double sign, double* to) const {
    for (index t = 0; t < rows; t += panel) {
      index const here = rows - t < panel ? rows - t : panel;
      for (index j = 0; j < here; ++j) {
        auto const from = row_of(values, head_, first + t + j);
        for (int d = 0; d < D; d += lanes) store(r_.panel + j * D + d, load_row(from, d));
      }
      multiply_blocks({weights + t, stride, 1}, count, r_.panel, D, D, here, r_.packed,
                      [&](index i, index d, fragment x) { add_to(to + i * D + d, x, sign); });
    }
  }

  Queries const& queries_;
  Full const& full_;
  Kept const& kept_;
  index head_, tokens_, own_;
  cs::span<int const> list_;
  room const& r_;
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
