// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How score::leverage looks at a KV head: moments of the keys, sketched and factored, then a form of every key.
#pragma once
#include <kvsieve/host/row/cholesky.hpp>
#include <kvsieve/host/score/quadratic_form.hpp>
#include <kvsieve/host/score/score_per_head.hpp>
#include <kvsieve/host/score/second_moments.hpp>
#include <kvsieve/score/leverage.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <>
struct head_scorer<score::leverage> {
  using score_policy = score::leverage;
  using params = score_policy::params;

  /// Scratch of a worker.
  struct room {
    float *panel, *factor;
    double *mean, *second, *sketch, *product, *gram;
  };
  /// Takes it from an arena.
  template <class Extents>
  static room carve(arena& a, Extents const& e, params const& p) {
    auto const doubles = [&](index n) { return a.take<double>(static_cast<std::size_t>(n)); };
    auto const floats = [&](index n) { return a.take<float>(static_cast<std::size_t>(n)); };
    index const D = e.head_dim, k = p.sketch;
    room r{};
    r.panel = floats(panel_rows * D);
    r.factor = floats(packed_matrix::floats(p.sketch, e.head_dim));
    r.mean = doubles(D);
    r.second = doubles(D * D);
    r.sketch = doubles(D * k);
    r.product = doubles(D * k);
    r.gram = doubles(k * k);
    return r;
  }

  /// Scores one KV head.
  template <class Head>
  static void score_head(params const& p, Head const& h, room const& r, float* score) {
    constexpr int D = Head::head_dim;
    int const k = p.sketch, first = p.sink < h.tokens() ? p.sink : h.tokens();
    int const last = h.tokens() - p.recent > first ? h.tokens() - p.recent : first;
    for (int t = 0; t < h.tokens(); ++t) score[t] = 0;
    head_rows const rows(h.layer.keys, h.head, first, last, p.rope, p.rope.first_position);
    mean_of_rows(rows, r.panel, r.mean);
    second_moments(rows, r.panel, r.mean, [](index) { return 1.0f; }, r.second);
    for (int d = 0; d < D; ++d)
      for (int c = 0; c < k; ++c)
        r.sketch[d * k + c] = score_policy::sketch_entry(p, static_cast<cs::uint64_t>(h.view * h.heads + h.head), d, c);
    multiply(r.second, r.sketch, r.product, D, D, k);
    double ridge = p.ridge;
    bool factored = false;
    for (int tries = 0; tries < 60 && !factored; ++tries, ridge *= 10) {
      multiply_transposed(r.sketch, r.product, r.gram, k, D, k);
      factored = cholesky(r.gram, k, ridge);
    }
    // The factor of the form: the inverse of U^T times the transposed sketch.
    for (int c = 0; c < k; ++c)
      for (int d = 0; d < D; ++d) r.product[c * D + d] = factored ? r.sketch[d * k + c] : __builtin_nan("");
    if (factored) solve_transposed(r.gram, k, r.product, D);
    auto const w = packed_matrix::pack(r.product, nullptr, k, D, r.factor);
    quadratic_form<form::squares>(rows, r.panel, r.mean, w, score);
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
