// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Two classes of heads: some keep everything, the others the ends.
#pragma once
#include <kvsieve/core/counts.hpp>

namespace kvsieve::inline v0 {
namespace budget {

/// DuoAttention (arXiv 2410.10819): the round(streaming * all) heads of the model with the lowest scores, half to even,
/// keep sink + recent tokens (at most N), all others every token. Equal scores: the lower head of the lower layer
/// streams first. Scores are used as they are: clip them to [0, 1] where the source does.
struct retrieval_heads : policy_base<stages::budget> {
  static constexpr uniformity uniformity_class = uniformity::U3;  ///< how alike its counts are

  /// Its numbers.
  struct params {
    cs::span<double const> score{};  ///< [layers, heads]: how much a head retrieves; the caller's memory
    double streaming = 0.5;          ///< share of the heads that keep the ends only
    int sink = 4;                    ///< first tokens of a streaming head
    int recent = 256;                ///< last tokens of a streaming head
    cs::span<int const> layer{};     ///< the layer of each view, from 0; empty: views are the layers in order
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("score", self.score, "numbers", "how much each head of each layer retrieves");
      visit("streaming", self.streaming, "fraction", "of the heads that keep the ends only");
      visit("sink", self.sink, "tokens", "first tokens of a streaming head");
      visit("recent", self.recent, "tokens", "last tokens of a streaming head");
      visit("layer", self.layer, "indices", "the layer of each view; empty: views are the layers in order");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      status s = range::all(range::within("budget.streaming", streaming, 0, 1), range::at_least("budget.sink", sink, 0),
                            range::at_least("budget.recent", recent, 0),
                            counts::check_table("budget.score", score.size(), layer, call.views, call.heads));
      for (cs::size_t i = 0; s && i < score.size(); ++i) s = range::within("budget.score", score[i], -1e300, 1e300);
      return s;
    }
  };

  /// Tokens that a head keeps.
  static constexpr int count(params const& p, head_shape const& s) {
    int const heads = static_cast<int>(p.score.size());
    int const own = counts::layer_of(p.layer, heads / s.heads, s.view) * s.heads + s.head;
    auto const score = [&](int i) { return p.score[static_cast<cs::size_t>(i)]; };
    cs::int64_t lower = 0;
    for (int i = 0; i < heads; ++i) lower += score(i) < score(own) || (score(i) == score(own) && i < own) ? 1 : 0;
    if (lower >= counts::half_to_even(p.streaming * heads)) return s.tokens;
    return counts::limited(cs::int64_t{p.sink} + p.recent, s.tokens);
  }
};
}  // namespace budget
}  // namespace kvsieve::inline v0
