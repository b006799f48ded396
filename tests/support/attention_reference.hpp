// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Attention-based scores by the reference, and how far float arithmetic may be from them.
#pragma once
#include <span>
#include <vector>

#include <kvsieve/reference/attention.hpp>
#include <kvsieve/reference/row.hpp>

#include "planned.hpp"
#include "tolerance.hpp"

namespace support {

/// Relative error of the probabilities of one query head. A logit is a dot product of D terms with a scaled query, in
/// units of log2: off by gamma(D + 3) of sum |q_d k_d| / sqrt(D), then by its difference to the largest one, at most 2
/// u of the largest magnitude; twice that much moves a probability (its own logit and the sum). Beside it: the sum of
/// at most 64 positive terms a block and a block after another, two exponentials (1.3 ulp, 2.6 u each) in numerator and
/// denominator, and five more roundings.
inline double probability_error(auto const& queries, int query_head, auto const& keys, int head, int observed) {
  constexpr int D = kvsieve::head_dim_of<std::decay_t<decltype(keys)>>;
  kvsieve::index const tokens = keys.extent(1);
  double largest = 0;
  for (int i = 0; i < observed; ++i) {
    kvsieve::index const q = queries.extent(1) - observed + i;
    if (!kvsieve::reference::finite_row(queries, query_head, q)) continue;
    for (kvsieve::index t = 0; t < tokens - observed + i + 1; ++t) {
      if (!kvsieve::reference::finite_row(keys, head, t)) continue;
      double magnitude = 0;
      for (int d = 0; d < D; ++d)
        magnitude += std::abs(kvsieve::reference::element_at(queries, query_head, q, d) *
                              kvsieve::reference::element_at(keys, head, t, d));
      largest = std::max(largest, magnitude / std::sqrt(static_cast<double>(D)));
    }
  }
  double const logit = (gamma(D + 3) + 4 * u) * largest;
  return std::expm1(2 * logit) + gamma(64.0 + static_cast<double>(tokens) / 64.0 + 20.0);
}

/// Folds whose error is that of the probabilities: sums and maxima of positive terms.
struct as_probabilities {
  void operator()(std::span<double const> /*p*/, int /*observed*/, double relative, std::span<double const> score,
                  std::span<double> bound) const {
    for (std::size_t t = 0; t < score.size(); ++t) bound[t] = relative * std::abs(score[t]);
  }
};

/// One KV head's score: `fold(p, observed, out)` over the queries, then `join(each, heads, out)` over the group. All
/// terms are positive, so relative errors stay what they are and each addition adds a rounding. Exponentials below
/// 2^-126 are 0. `slack(p, observed, relative, score, out)` is the error of a fold over probabilities that are off by
/// `relative`, which counts the fold's own additions.
template <class Fold, class Join, class Slack = as_probabilities>
expected attention_reference(auto const& layer, int head, int group, int observed, Fold const& fold, Join const& join,
                             Slack const& slack = {}) {
  auto const keys = layer.keys.view();
  auto const queries = layer.queries.view();
  auto const tokens = static_cast<std::size_t>(layer.keys.tokens());
  expected e(layer.keys.tokens());
  std::vector<double> p(static_cast<std::size_t>(observed) * tokens), each(static_cast<std::size_t>(group) * tokens),
      off(each.size());
  for (int g = 0; g < group; ++g) {
    kvsieve::reference::attention(queries, head * group + g, keys, head, observed, std::span<double>(p));
    auto const score = std::span<double>(each).subspan(static_cast<std::size_t>(g) * tokens, tokens);
    fold(std::span<double const>(p), observed, score);
    double const relative =
        probability_error(queries, head * group + g, keys, head, observed) + gamma(observed + group + 4);
    slack(std::span<double const>(p), observed, relative, std::span<double const>(score),
          std::span<double>(off).subspan(static_cast<std::size_t>(g) * tokens, tokens));
  }
  join(std::span<double const>(each), group, std::span<double>(e.score));
  join(std::span<double const>(off), group, std::span<double>(e.bound));
  for (std::size_t t = 0; t < tokens; ++t)
    e.bound[t] += gamma(group + 4) * std::abs(e.score[t]) + observed * group * 0x1p-124;
  return e;
}
}  // namespace support
