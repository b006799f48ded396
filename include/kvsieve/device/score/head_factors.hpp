// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Kernel bodies that factor the moments of a head, for score::leverage and cap_kv, and what these make of forms.
#pragma once
#include <kvsieve/device/call/scores_part.hpp>
#include <kvsieve/device/score/head_forms.hpp>
#include <kvsieve/score/cap_kv.hpp>
#include <kvsieve/score/leverage.hpp>

namespace kvsieve::inline v0 {
namespace device {

namespace detail {
/// Factors A + ridge * I = U^T U in place; of `a` [n, n] the upper triangle is read and written.
/// @returns false when it is not positive definite, or not finite; `a` is then of no use
template <block Block>
KVSIEVE_HD inline bool factor(Block& b, double* a, int n, double ridge) {
  b.sync();
  for (int i = b.rank(); i < n; i += Block::threads) a[index{i} * n + i] += ridge;
  for (int k = 0; k < n; ++k) {
    double* const pivot = a + index{k} * n;
    b.sync();
    double const root = ::sqrt(pivot[k]);
    b.sync();
    if (!(root > 0) || !(root < HUGE_VAL)) return false;
    for (int j = k + b.rank(); j < n; j += Block::threads) pivot[j] /= root;
    b.sync();
    int const left = n - k - 1;
    for (index i = b.rank(); i < index{left} * left; i += Block::threads) {
      int const line = k + 1 + static_cast<int>(i / left), column = k + 1 + static_cast<int>(i % left);
      if (column >= line) a[index{line} * n + column] -= pivot[line] * pivot[column];
    }
  }
  b.sync();
  return true;
}
/// Solves U^T X = B in place; `u` [n, n] upper triangular, `x` [n, m]. Each thread has columns of its own.
template <block Block>
KVSIEVE_HD inline void solve_transposed(Block& b, double const* u, int n, double* x, int m) {
  for (int c = b.rank(); c < m; c += Block::threads)
    for (int i = 0; i < n; ++i) {
      double sum = x[index{i} * m + c];
      for (int j = 0; j < i; ++j) sum -= u[index{j} * n + i] * x[index{j} * m + c];
      x[index{i} * m + c] = sum * (1 / u[index{i} * n + i]);
    }
}
}  // namespace detail

struct sketch_args {
  score::leverage::params params;
  double const* second;  ///< [heads, D, D]
  double* sketch;        ///< [heads, D, k]
  double* product;       ///< [heads, k, D]
  double* gram;          ///< [heads, k, k]
  float* table;          ///< [heads, k, D]: of the form
  index first_head;      ///< heads of the views before
  int head_dim;
};
/// Block (0, head, 0): the form that leverage is of a row about the mean: the inverse of U^T times the transposed
/// sketch.
struct sketch_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, sketch_args const& a, work w, shared<Block>&) {
    int const D = a.head_dim, k = a.params.sketch;
    double const* const second = a.second + index{w.y} * D * D;
    double* const sketch = a.sketch + index{w.y} * D * k;
    double* const product = a.product + index{w.y} * D * k;
    double* const gram = a.gram + index{w.y} * k * k;
    for (int i = b.rank(); i < D * k; i += Block::threads)
      sketch[i] = score::leverage::sketch_entry(a.params, static_cast<cs::uint64_t>(a.first_head + w.y), i / k, i % k);
    b.sync();
    for (int i = b.rank(); i < D * k; i += Block::threads) {
      double sum = 0;
      for (int d = 0; d < D; ++d) sum += second[index{i / k} * D + d] * sketch[d * k + i % k];
      product[i] = sum;
    }
    double ridge = a.params.ridge;
    bool factored = false;
    for (int tries = 0; tries < 60 && !factored; ++tries, ridge *= 10) {
      b.sync();
      for (int i = b.rank(); i < k * k; i += Block::threads) {
        double sum = 0;
        for (int d = 0; d < D; ++d) sum += sketch[d * k + i / k] * product[d * k + i % k];
        gram[i] = sum;
      }
      factored = detail::factor(b, gram, k, ridge);
    }
    b.sync();
    for (int i = b.rank(); i < D * k; i += Block::threads)
      product[i] = factored ? sketch[i % D * k + i / D] : __builtin_nan("");
    b.sync();
    if (factored) detail::solve_transposed(b, gram, k, product, D);
    b.sync();
    for (int i = b.rank(); i < D * k; i += Block::threads)
      a.table[index{w.y} * D * k + i] = static_cast<float>(product[i]);
  }
};

struct invert_args {
  double* second;   ///< [heads, D, D]
  double* inverse;  ///< the same
  float* table;     ///< the same: of the form
  int head_dim;
};
/// Block (0, head, 0): the form x^T (I + second)^-1 x.
struct invert_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, invert_args const& a, work w, shared<Block>&) {
    int const D = a.head_dim;
    double* const second = a.second + index{w.y} * D * D;
    double* const inverse = a.inverse + index{w.y} * D * D;
    for (int i = b.rank(); i < D * D; i += Block::threads) inverse[i] = i % (D + 1) == 0 ? 1 : 0;
    bool const factored = detail::factor(b, second, D, 1);
    b.sync();
    if (factored)
      detail::solve_transposed(b, second, D, inverse, D);
    else if (b.rank() == 0)
      inverse[0] = __builtin_nan("");
    b.sync();
    for (int i = b.rank(); i < D * D; i += Block::threads)
      a.table[index{w.y} * D * D + i] = static_cast<float>(inverse[i]);
  }
};

/// What launches of score::cap_kv over the keys of a view are told.
template <row_view Keys>
struct likely_args {
  Keys keys;            ///< [heads, tokens, D]
  turn_table turn;      ///< to the positions to come
  double* mean;         ///< [query heads, D + 1]: of the queries
  float* unit;          ///< [query heads, D]: their direction there
  float const* usable;  ///< [heads] rows of `stride`: of token first + i
  float* cosine;  ///< [query heads] rows of `stride`, by token: with the direction, then how likely it is looked at
  float* weight;  ///< the same, of token first + i: that and epsilon
  index stride;
  float sharpness, epsilon;
  int group, first, last;
};
/// Block (0, query head, 0): the direction of its mean query.
template <row_view Keys>
struct direction_body {
  static constexpr int D = head_dim_of<Keys>;

  template <block Block>
  struct shared {
    double part[Block::threads];
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, likely_args<Keys> const& a, work w, shared<Block>& s) {
    double* const mean = a.mean + index{w.y} * (D + 1);
    for (int i = b.rank(); i < D / 2; i += Block::threads) a.turn.apply(mean, 1, i, D / 2);
    b.sync();
    double squares = 0;
    for (int d = b.rank(); d < D; d += Block::threads) squares += mean[d] * mean[d];
    squares = sum_of_all(b, squares, s.part);
    for (int d = b.rank(); d < D; d += Block::threads)
      a.unit[index{w.y} * D + d] = static_cast<float>(mean[d] / (squares > 1e-24 ? ::sqrt(squares) : 1e-12));
  }
};
/// Block (segment, head, 0): the cosines of its keys with the directions of its query heads.
template <row_view Keys>
struct cosines_body {
  static constexpr int D = head_dim_of<Keys>, width = row_lanes<D>;
  using slice = row_slice<D>;

  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, likely_args<Keys> const& a, work w, shared<Block>&) {
    auto const tile = b.template tile<width>();
    int const first = a.first + w.x * moment_rows, last = a.last - first < moment_rows ? a.last : first + moment_rows;
    for (int t = first + tile.index(); t < last; t += Block::threads / width) {
      auto const key = slice::load(row_of(a.keys, w.y, t), tile.rank());
      fragment squares = splat(0.0f);
      KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) squares = fma(key.part[i], key.part[i], squares);
      float const norm = max(sqrt(tile.all_sum(device::sum(squares))), 1e-12f);
      for (int g = 0; g < a.group; ++g) {
        index const head = index{w.y} * a.group + g;
        auto const unit = slice::load(static_cast<float const*>(a.unit + head * D), tile.rank());
        fragment dot = splat(0.0f);
        KVSIEVE_UNROLL for (int i = 0; i < slice::count; ++i) dot = fma(key.part[i], unit.part[i], dot);
        float const cosine = max(-1.0f, min(1.0f, tile.all_sum(device::sum(dot)) / norm));
        if (tile.rank() == 0)
          a.cosine[head * a.stride + t] = a.usable[w.y * a.stride + t - a.first] == 0.0f ? __builtin_nanf("") : cosine;
      }
    }
  }
};
/// Block (0, query head, 0): how likely its keys are looked at, the most likely one 1.
template <row_view Keys>
struct likely_body {
  template <block Block>
  struct shared {
    typename Block::reduce_storage reduce;
  };

  template <block Block>
  KVSIEVE_HD static void run(Block& b, likely_args<Keys> const& a, work w, shared<Block>& s) {
    float* const cosine = a.cosine + w.y * a.stride;
    float* const weight = a.weight + w.y * a.stride;
    float most = -__builtin_inff();
    for (int t = a.first + b.rank(); t < a.last; t += Block::threads)
      most = finite(cosine[t]) && most < cosine[t] ? cosine[t] : most;
    most = b.all_max(most, s.reduce);
    float const scale = a.sharpness * 1.44269504f;
    for (int t = a.first + b.rank(); t < a.last; t += Block::threads) {
      bool const counts = finite(cosine[t]);
      cosine[t] = counts ? ::exp2f((cosine[t] - most) * scale) : 0.0f;
      weight[t - a.first] = counts ? cosine[t] + a.epsilon : 0.0f;
    }
  }
};

struct add_forms_args {
  float const* form;    ///< [heads * group] rows of `stride`, by token
  float const* factor;  ///< the same; null: 1
  double const*
      mean;  ///< [heads * group, D + 1], of which the last number is 0 where a head has nothing to say, or null
  float const* usable;  ///< [heads] rows of `stride`: of token first + i
  float* score;         ///< [heads] rows of `score_stride`
  index stride, score_stride;
  int group, head_dim, first, last, tokens;
};
/// Block (segment, head, 0): the mean of what its query heads make of a token; 0 for tokens that have no part.
struct add_forms_body {
  template <block Block>
  struct shared {};

  template <block Block>
  KVSIEVE_HD static void run(Block& b, add_forms_args const& a, work w, shared<Block>&) {
    float* const score = a.score + w.y * a.score_stride;
    each_score(b, w.x, a.tokens, [&](int t) {
      bool const in = t >= a.first && t < a.last;
      float sum = in && a.usable[w.y * a.stride + t - a.first] == 0.0f ? __builtin_nanf("") : 0.0f;
      for (int g = 0; in && g < a.group; ++g) {
        index const head = index{w.y} * a.group + g;
        if (a.mean != nullptr && !(a.mean[head * (a.head_dim + 1) + a.head_dim] > 0)) continue;
        float const factor = a.factor == nullptr ? 1.0f : a.factor[head * a.stride + t];
        sum += factor * a.form[head * a.stride + t] / static_cast<float>(a.group);
      }
      score[t] = sum;
    });
  }
};
}  // namespace device
}  // namespace kvsieve::inline v0
