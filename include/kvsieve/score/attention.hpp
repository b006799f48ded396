// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Attention: tokens that the observed queries look at stay. Which queries are observed is a tag; how a token's
// probabilities become one number is the aggregate policy's. SnapKV (arXiv 2404.14469), H2O (arXiv 2306.14048), TOVA
// (arXiv 2401.06104) are compositions of these.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {

/// Which queries are observed. Query i of a view of W queries stands at position N - W + i and sees the keys up to it.
namespace observe {
/// The last `window` queries; the window's own tokens are not scored but forced.
struct window {
  /// Its number.
  struct params {
    int window = 64;  ///< queries
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("window", self.window, "tokens", "last queries that are observed; their tokens stay");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::at_least("score.window", window, 1); }
  };
  /// Queries observed, counted from the end.
  static constexpr int queries(params const& p, int /*tokens*/) { return p.window; }
  /// Last tokens that are forced instead of scored.
  static constexpr int unscored(params const& p, int /*tokens*/) { return p.window; }
};
/// The last query; its own token is forced.
struct last {
  using params = no_params;  ///< none
  /// Queries observed, counted from the end.
  static constexpr int queries(params const&, int) { return 1; }
  /// Last tokens that are forced instead of scored.
  static constexpr int unscored(params const&, int) { return 1; }
};
/// All queries of the prompt; every token is scored. Cost grows with N^2, memory with N.
struct all {
  using params = no_params;  ///< none
  /// Queries observed, counted from the end.
  static constexpr int queries(params const&, int tokens) { return tokens; }
  /// Last tokens that are forced instead of scored.
  static constexpr int unscored(params const&, int) { return 0; }
};
}  // namespace observe

namespace score {

/// p[i, t] = softmax over all keys that query i sees of <q_i, k_t> / sqrt(D); score[t] = the aggregate of p[., t].
/// Tokens with keys that are not finite score NaN and get no mass; queries that are not finite are passed over.
template <class Observed = observe::window>
struct attention : policy_base<stages::score, needs::keys | needs::queries> {
  using pattern = patterns::per_query;       ///< how it walks the cache
  using params = typename Observed::params;  ///< its numbers

  /// How many queries, counted from the end, are observed.
  static constexpr int queries(params const& p, int tokens) { return Observed::queries(p, tokens); }
  /// What stays whatever the scores.
  static constexpr forced_ends forced(params const& p, int tokens) { return {0, Observed::unscored(p, tokens)}; }
};
}  // namespace score
}  // namespace kvsieve::inline v0
