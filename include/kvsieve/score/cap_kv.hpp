// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// CapKV: tokens whose values the other values, weighed by how likely they are looked at, cannot stand for stay. As
// kvpress's CapPress computes it.
#pragma once
#include <cmath>

#include <kvsieve/core/arena.hpp>
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rope.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/host/cholesky.hpp>
#include <kvsieve/host/quadratic_form.hpp>
#include <kvsieve/host/score_per_head.hpp>
#include <kvsieve/host/second_moments.hpp>
#include <kvsieve/host/softmax_row.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// With m the mean of the queries of a query head before rotation, and R the mean rotation over the `future` positions
/// from N on: z_t = cos(R m, k_t); w_t = exp(sharpness (z_t - max z)); M = I + sum (w_t + epsilon) v_t v_t^T;
/// score[t] = the mean over the query heads of w_t v_t^T M^-1 v_t. The first `sink` tokens are forced and take no part.
/// N Hq D^2 3/2 multiply-adds. A token whose key or value is not finite, or longer than 1.8e19, scores NaN and takes no
/// part; queries that are not finite are passed over. Values so long that M leaves the range of a float give NaN
/// for the head.
struct cap_kv : policy_base<stages::score, needs::keys | needs::values | needs::queries> {
  using pattern = patterns::per_head;  ///< how it walks the cache

  /// Its numbers.
  struct params {
    int sink = 4;            ///< first tokens that always stay
    int future = 512;        ///< positions to come that are averaged over
    float sharpness = 5.0f;  ///< of the weights
    float epsilon = 1e-6f;   ///< added to a weight inside M
    rope_params rope{};      ///< the model's rotation
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sink", self.sink, "tokens", "first tokens that always stay");
      visit("future", self.future, "tokens", "positions to come that are averaged over");
      visit("sharpness", self.sharpness, "factor", "of the cosine in the exponent of a weight");
      visit("epsilon", self.epsilon, "weight", "added to every weight in the sum of the values' products");
      rope_params::each(self.rope, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::at_least("score.sink", sink, 0), range::within("score.future", future, 1, 1 << 24),
                        range::within("score.sharpness", static_cast<double>(sharpness), 0, 1e6),
                        range::within("score.epsilon", static_cast<double>(epsilon), 0, 1e6), rope.check(call));
    }
  };

  /// How many queries, counted from the end, are observed.
  static constexpr int queries(params const& p, int tokens) { return tokens > p.sink ? tokens - p.sink : 1; }
  /// What stays whatever the scores.
  KVSIEVE_HD static constexpr forced_ends forced(params const& p, int) { return {p.sink, 0}; }

  /// Scratch of a worker.
  struct room {
    /// @cond
    float *panel, *factor, *weight, *leverage;
    double *mean, *second, *inverse;
    /// @endcond
  };
  /// Takes it from an arena.
  template <class Extents>
  static room carve(arena& a, Extents const& e, params const&) {
    auto const doubles = [&](index n) { return a.take<double>(static_cast<std::size_t>(n)); };
    auto const floats = [&](index n) { return a.take<float>(static_cast<std::size_t>(n)); };
    index const D = e.head_dim;
    return {floats(host::panel_rows * D),
            floats(host::packed_matrix::floats(e.head_dim, e.head_dim)),
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
    host::mean_turn<D> const turn(p.rope, static_cast<double>(p.rope.first_position) + tokens, p.future);
    host::head_rows const keys(h.layer.keys, h.head, first, tokens), values(h.layer.values, h.head, first, tokens);
    auto const mark = [&](index row, int count, float const*, unsigned long long bad) {
      for (int j = 0; j < count; ++j)
        if ((bad >> j & 1u) != 0) score[row + j] = __builtin_nanf("");
    };
    keys.each_panel(r.panel, mark);
    values.each_panel(r.panel, mark);
    index const given = h.queries->extent(1), observed = queries(p, tokens);
    for (int g = 0; g < h.group; ++g) {
      // Query i of the view stands at position tokens - given + i.
      host::head_rows const asked(*h.queries, h.head * h.group + g, given - observed, given, p.rope,
                                  static_cast<double>(p.rope.first_position + tokens - given));
      if (host::mean_of_rows(asked, r.panel, r.mean) == 0) continue;
      turn.apply(r.mean);
      cosines(keys, r, score);
      (void)host::exponentials_of_row(r.weight, first, tokens, p.sharpness);
      auto const weight = [&](index t) { return finite(score[t]) ? r.weight[t] + p.epsilon : 0.0f; };
      for (int d = 0; d < D; ++d) r.mean[d] = 0;
      host::second_moments(values, r.panel, r.mean, weight, r.second);
      for (int i = 0; i < D * D; ++i) r.inverse[i] = i % (D + 1) == 0 ? 1 : 0;
      if (host::cholesky(r.second, D, 1))
        host::solve_transposed(r.second, D, r.inverse, D);
      else
        r.inverse[0] = __builtin_nan("");
      auto const w = host::packed_matrix::pack(r.inverse, nullptr, D, D, r.factor);
      host::quadratic_form<host::form::squares>(values, r.panel, r.mean, w, r.leverage);
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
        float const cosine = dot / max(kvsieve::sqrt(norm), 1e-12f);
        r.weight[row + j] = finite(score[row + j]) ? max(-1.0f, min(1.0f, cosine)) : __builtin_nanf("");
      }
    });
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
