// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// CapKV: tokens whose values the other values, weighed by how likely they are looked at, cannot stand for stay. As
// kvpress's CapPress computes it.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rope.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
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
};
}  // namespace score
}  // namespace kvsieve::inline v0
