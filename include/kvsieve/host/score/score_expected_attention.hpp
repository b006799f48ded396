// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How score::expected_attention looks at a KV head: moments of the queries, turned to the positions to come, then a
// form of every key.
#pragma once
#include <cmath>

#include <kvsieve/core/scalar.hpp>
#include <kvsieve/host/row/softmax_row.hpp>
#include <kvsieve/host/score/quadratic_form.hpp>
#include <kvsieve/host/score/score_per_head.hpp>
#include <kvsieve/host/score/second_moments.hpp>
#include <kvsieve/score/expected_attention.hpp>

namespace kvsieve::inline v0 {
namespace host::inline KVSIEVE_TARGET {

template <class Statistics>
struct head_scorer<score::expected_attention<Statistics>> {
  using score_policy = score::expected_attention<Statistics>;
  using params = typename score_policy::params;

  /// Scratch of a worker.
  struct room {
    float *panel, *factor, *logits;
    double *mean, *second, *zero;
  };
  /// Takes it from an arena.
  template <class Extents>
  static room carve(arena& a, Extents const& e, params const&) {
    auto const doubles = [&](index n) { return a.take<double>(static_cast<std::size_t>(n)); };
    auto const floats = [&](index n) { return a.take<float>(static_cast<std::size_t>(n)); };
    index const D = e.head_dim;
    return {floats(panel_rows * D), floats(packed_matrix::floats(e.head_dim, e.head_dim)),
            floats(e.tokens),       doubles(D),
            doubles(D * D),         doubles(D)};
  }

  /// Scores one KV head.
  template <class Head>
  static void score_head(params const& p, Head const& h, room const& r, float* score) {
    constexpr int D = Head::head_dim;
    int const tokens = h.tokens(), first = p.sink < tokens ? p.sink : tokens;
    for (int t = 0; t < tokens; ++t) score[t] = 0;
    for (int d = 0; d < D; ++d) r.zero[d] = 0;
    mean_turn<D> const turn(p.rope, static_cast<double>(p.rope.first_position) + tokens, p.future);
    head_rows const keys(h.layer.keys, h.head, first, tokens);
    int const group = query_heads(p, h);
    for (int g = 0; g < group; ++g) {
      bool const known = gather(p, h, static_cast<int>(h.head) * group + g, r);
      turn.apply(r.mean);
      for (int d = 0; d < D; ++d) r.mean[d] /= std::sqrt(static_cast<double>(D));
      for (int i = 0; i < D; ++i) turn.apply(r.second + i * D);
      for (int i = 0; i < D; ++i) turn.apply(r.second + i, D);
      for (int i = 0; i < D * D; ++i) r.second[i] /= 2 * D;
      auto const w = packed_matrix::pack(r.second, r.mean, D, D, r.factor);
      quadratic_form<form::bilinear>(keys, r.panel, r.zero, w, r.logits);
      for (int t = first; t < tokens; ++t)
        if (!finite(r.logits[t])) score[t] = __builtin_nanf("");
      double const total = exponentials_of_row(r.logits, first, tokens, 1.0f);
      auto const share = static_cast<float>(known && total > 0 ? 1 / (total * group) : 0);
      for (int t = first; t < tokens; ++t) score[t] += r.logits[t] * share;
    }
  }

 private:
  template <class Head>
  static int query_heads(params const& p, Head const& h) {
    if constexpr (kvsieve::reads(Statistics::reads, needs::queries))
      return h.group;
    else
      return static_cast<int>(p.statistics.mean.size() / static_cast<cs::size_t>(h.views * h.heads * Head::head_dim));
  }

  // Mean and covariance of one query head into the scratch; false when there is no usable query.
  template <class Head>
  static bool gather(params const& p, Head const& h, int query_head, room const& r) {
    constexpr int D = Head::head_dim;
    if constexpr (kvsieve::reads(Statistics::reads, needs::queries)) {
      index const given = h.queries->extent(1), observed = score_policy::queries(p, h.tokens());
      // Query i of the view stands at position tokens - given + i.
      head_rows const rows(*h.queries, query_head, given - observed, given, p.rope,
                           static_cast<double>(p.rope.first_position + h.tokens() - given));
      index const used = mean_of_rows(rows, r.panel, r.mean);
      if (p.use_covariance) second_moments(rows, r.panel, r.mean, [](index) { return 1.0f; }, r.second);
      for (int i = 0; i < D * D; ++i)
        r.second[i] = p.use_covariance && used > 0 ? r.second[i] / static_cast<double>(used) : 0;
      return used > 0;
    } else {
      index const at = (h.view * h.heads * query_heads(p, h) + query_head) * D;
      for (int d = 0; d < D; ++d) r.mean[d] = static_cast<double>(p.statistics.mean[static_cast<cs::size_t>(at + d)]);
      for (index i = 0; i < D * D; ++i)
        r.second[i] =
            p.use_covariance ? static_cast<double>(p.statistics.covariance[static_cast<cs::size_t>(at * D + i)]) : 0;
      return true;
    }
  }
};
}  // namespace host::inline KVSIEVE_TARGET
}  // namespace kvsieve::inline v0
