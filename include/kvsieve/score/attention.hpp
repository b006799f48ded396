// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Attention: tokens that the observed queries look at stay. Which queries are observed and what they see is a tag
// (score/observe.hpp), how a query's logits become what is folded is another; how a token's numbers become one is the
// aggregate policy's. SnapKV (arXiv 2404.14469), H2O (arXiv 2306.14048), TOVA (arXiv 2401.06104) are compositions of
// these.
#pragma once
#include <cuda/std/span>

#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/observe.hpp>
#include <kvsieve/score/observe_sets.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {

/// How a query's logits z_t = <q, k_t> / sqrt(D) become what an aggregate policy folds.
namespace row_form {
/// exp(z_t) over the sum of exp over all keys that the query sees: probabilities.
struct softmax {
  static constexpr bool normalises = true;  ///< folds probabilities
};
/// The same of the largest z_t of a query group, for every query head of it: the group's queries compete key by key
/// before the keys do (R-KV). Query heads whose weight is 0 or that are not finite are no part of it. On the host.
struct softmax_of_largest {
  static constexpr bool normalises = true;   ///< folds probabilities
  static constexpr bool joins_group = true;  ///< query heads of a group are one
};
/// z_t itself: cheaper, and without the competition between the keys (KVzip's logit variant, Sparse-dLLM). Goes with
/// linear aggregate policies and aggregate::max; what a query does not see gives nothing.
struct logits {
  static constexpr bool normalises = false;  ///< folds logits
};
}  // namespace row_form

namespace score {

/// p[i, t] = softmax over all keys that query i sees of <q_i, k_t> / sqrt(D), or what `Form` makes of it; score[t] =
/// the aggregate of p[., t]. Tokens with keys that are not finite score NaN and get no mass; queries that are not
/// finite are passed over.
template <class Observed = observe::window, class Form = row_form::softmax>
struct attention : policy_base<stages::score, needs::keys | needs::queries> {
  using pattern = patterns::per_query;       ///< how it walks the cache
  using observed = Observed;                 ///< which queries
  using form = Form;                         ///< what of them is folded
  using params = typename Observed::params;  ///< its numbers

  /// Sets of observed queries.
  static constexpr int set_count(params const& p, int tokens) { return Observed::set_count(p, tokens); }
  /// One of them, in the order in which they were given.
  static constexpr query_set set(params const& p, int tokens, int s) { return Observed::set(p, tokens, s); }
  /// How many queries, counted from the end, are observed.
  static constexpr int queries(params const& p, int tokens) {
    int sum = 0;
    for (int s = 0; s < set_count(p, tokens); ++s) sum += set(p, tokens, s).count;
    return sum;
  }
  /// Factors of the probabilities of the observed queries, [views, queries]; empty: none.
  static constexpr cs::span<float const> scales(params const& p) {
    if constexpr (requires { p.scale; })
      return p.scale;
    else
      return {};
  }
  /// Tokens of the cache in a view of `tokens`: what is scored and planned. The others are the queries' own.
  static constexpr int cached(params const& p, int tokens) { return tokens - Observed::own(p, tokens); }
  /// What stays whatever the scores.
  static constexpr forced_ends forced(params const& p, int tokens) { return Observed::forced(p, tokens); }
  /// Ok, or what does not fit a view of `tokens` to which `given` queries came.
  static constexpr status fits(params const& p, int tokens, double given) { return Observed::fits(p, tokens, given); }
};
}  // namespace score
}  // namespace kvsieve::inline v0
