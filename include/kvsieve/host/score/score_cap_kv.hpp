// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How score::cap_kv looks at a KV head: for each of its query heads a matrix of weighed values, its inverse, and the
// form of every value.
#pragma once
#include <cmath>

#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/row/cholesky.hpp>
#include <kvsieve/host/row/softmax_row.hpp>
#include <kvsieve/host/score/quadratic_form.hpp>
#include <kvsieve/host/score/score_per_head.hpp>
#include <kvsieve/host/score/second_moments.hpp>
#include <kvsieve/score/cap_kv.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <>
struct head_scorer<score::cap_kv> {
  using score_policy = score::cap_kv;
  using params = score_policy::params;

  /// Scratch of a worker.
  struct room {
    float *panel, *factor, *weight, *leverage;
    double *mean, *second, *inverse;
  };
  /// Takes it from an arena.
  template <class Extents>
  static room carve(arena& a, Extents const& e, params const&) {
    auto const doubles = [&](index n) { return a.take<double>(static_cast<std::size_t>(n)); };
    auto const floats = [&](index n) { return a.take<float>(static_cast<std::size_t>(n)); };
    index const D = e.head_dim;
    return {floats(panel_rows * D),
            floats(packed_matrix::floats(e.head_dim, e.head_dim)),
            floats(e.tokens),
            floats(e.tokens),
            doubles(D),
            doubles(D * D),
            doubles(D * D)};
  }

  /// Scores one KV head.
  template <class Head>
  static void score_head(params const& p, Head const& h, room const& r, float* score) {
    constexpr int D = Head::head_dim;
    int const tokens = h.tokens(), first = p.sink < tokens ? p.sink : tokens;
    for (int t = 0; t < tokens; ++t) score[t] = 0;
    mean_turn<D> const turn(p.rope, static_cast<double>(p.rope.first_position) + tokens, p.future);
    head_rows const keys(h.layer.keys, h.head, first, tokens), values(h.layer.values, h.head, first, tokens);
    auto const mark = [&](index row, int count, float const*, unsigned long long bad) {
      for (int j = 0; j < count; ++j)
        if ((bad >> j & 1u) != 0) score[row + j] = __builtin_nanf("");
    };
    keys.each_panel(r.panel, mark);
    values.each_panel(r.panel, mark);
    index const given = h.queries->extent(1), observed = score_policy::queries(p, tokens);
    for (int g = 0; g < h.group; ++g) {
      // Query i of the view stands at position tokens - given + i.
      head_rows const asked(*h.queries, h.head * h.group + g, given - observed, given, p.rope,
                            static_cast<double>(p.rope.first_position + tokens - given));
      if (mean_of_rows(asked, r.panel, r.mean) == 0) continue;
      turn.apply(r.mean);
      cosines(keys, r, score);
      (void)exponentials_of_row(r.weight, first, tokens, p.sharpness);
      auto const weight = [&](index t) { return finite(score[t]) ? r.weight[t] + p.epsilon : 0.0f; };
      for (int d = 0; d < D; ++d) r.mean[d] = 0;
      second_moments(values, r.panel, r.mean, weight, r.second);
      for (int i = 0; i < D * D; ++i) r.inverse[i] = i % (D + 1) == 0 ? 1 : 0;
      if (cholesky(r.second, D, 1))
        solve_transposed(r.second, D, r.inverse, D);
      else
        r.inverse[0] = __builtin_nan("");
      auto const w = packed_matrix::pack(r.inverse, nullptr, D, D, r.factor);
      quadratic_form<form::squares>(values, r.panel, r.mean, w, r.leverage);
      for (int t = first; t < tokens; ++t) score[t] += r.weight[t] * r.leverage[t] / static_cast<float>(h.group);
    }
  }

 private:
  // Cosines of the keys with the mean query, NaN for tokens whose score already is.
  template <class Rows>
  static void cosines(Rows const& keys, room const& r, float const* score) {
    constexpr int D = Rows::head_dim;
    double squares = 0;
    for (int d = 0; d < D; ++d) squares += r.mean[d] * r.mean[d];
    float unit[D];
    for (int d = 0; d < D; ++d)
      unit[d] = static_cast<float>(r.mean[d] / (squares > 1e-24 ? std::sqrt(squares) : 1e-12));
    keys.each_panel(r.panel, [&](index row, int count, float const* x, unsigned long long) {
      for (int j = 0; j < count; ++j) {
        float dot = 0, norm = 0;
        for (int d = 0; d < D; ++d) dot += x[j * D + d] * unit[d], norm += x[j * D + d] * x[j * D + d];
        float const cosine = dot / kvsieve::max(kvsieve::sqrt(norm), 1e-12f);
        r.weight[row + j] =
            finite(score[row + j]) ? kvsieve::max(-1.0f, kvsieve::min(1.0f, cosine)) : __builtin_nanf("");
      }
    });
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
