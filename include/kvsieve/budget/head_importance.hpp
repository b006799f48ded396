// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Part of the budget alike, part by how much each head matters, from a table.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// HeadKV (arXiv 2410.19258) as KVCache-Factory counts: of cap tokens a head low = floor(cap / beta) go into a pool of
/// all heads of the model, shared in proportion to their importance; the others each head has for itself:
/// round(pool * importance / sum + cap - low), half to even, at most N - window, and the window on top. Sequences with
/// N - window < cap - window stay whole. Importances are those of KV heads: of a group, take the mean.
struct head_importance : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U3;  ///< how alike its counts are

  /// Its numbers.
  struct params {
    double keep = 0.25;                   ///< cap as a share of the tokens
    int tokens = -1;                      ///< cap: tokens before the window, the mean over heads; -1: as `keep` says
    double beta = 1.01;                   ///< the pool has a beta-th of it
    int window = 32;                      ///< of the score; stays in every head, on top of cap
    cs::span<double const> importance{};  ///< [layers, heads], not negative, not all 0; the caller's memory
    cs::span<int const> layer{};          ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("keep", self.keep, "fraction", "of the tokens that stay before the window, the mean over heads");
      visit("tokens", self.tokens, "tokens", "that stay before the window, the mean over heads; -1: as keep says");
      visit("beta", self.beta, "factor", "the shared pool has the tokens divided by it");
      visit("window", self.window, "tokens", "of the score's window, on top of the count");
      visit("importance", self.importance, "numbers", "for each layer and head, in any unit");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      status s = range::all(range::within("budget.keep", keep, 0, 1), range::at_least("budget.tokens", tokens, -1),
                            range::within("budget.beta", beta, 1, 1e6), range::at_least("budget.window", window, 0),
                            counts::check_table("budget.importance", importance.size(), layer, call.views, call.heads));
      double sum = 0;
      for (cs::size_t i = 0; s && i < importance.size(); ++i) {
        s = range::within("budget.importance", importance[i], 0, 1e300);
        sum += importance[i];
      }
      return range::all(s, range::above("sum of budget.importance", sum, 0));
    }
  };

  /// Tokens that a head keeps.
  static constexpr int count(params const& p, head_shape const& s) {
    cs::int64_t const past = s.tokens - p.window,
                      cap = p.tokens >= 0 ? p.tokens : counts::of_share(p.keep, -1, s.tokens);
    if (past < cap - p.window || past <= 0) return s.tokens;
    auto const heads = static_cast<cs::int64_t>(p.importance.size());
    int const layers = static_cast<int>(heads) / s.heads, l = counts::layer_of(p.layer, layers, s.view);
    double sum = 0;
    for (double const x : p.importance) sum += x;
    auto const low = static_cast<cs::int64_t>(static_cast<double>(cap) / p.beta);
    double const part = p.importance[static_cast<cs::size_t>(cs::int64_t{l} * s.heads + s.head)] / sum;
    double const shared = counts::product(part, static_cast<double>(low * heads));
    return p.window +
           counts::limited(counts::half_to_even(shared + static_cast<double>(cap - low)), static_cast<int>(past));
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
