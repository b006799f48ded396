// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Expected Attention: tokens that queries still to come would look at stay. Devoto et al., "Expected Attention: KV
// Cache Compression by Estimating Attention from Future Queries Distribution", arXiv 2510.00636, as kvpress computes
// it.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/rope.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {

/// Where the mean and the covariance of the queries before their rotation come from.
namespace statistics {
/// The prompt's own queries behind the sinks; those that are not finite are passed over.
struct prompt {
  static constexpr needs reads = needs::queries;  ///< of the cache
  /// None.
  struct table {
    template <class Self, class Visit>
    static constexpr void each(Self&, Visit&&) {}
    /// Ok.
    [[nodiscard]] constexpr status check(call_shape const&, bool) const { return {}; }
  };
};
/// A table of the caller's, gathered before; views of a call are layers in their order.
struct stored {
  static constexpr needs reads = needs::nothing;  ///< of the cache
  /// The statistics.
  struct table {
    cs::span<float const> mean{};        ///< [views, Hq, D]
    cs::span<float const> covariance{};  ///< [views, Hq, D, D], symmetric; may be empty without use_covariance
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("mean", self.mean, "query", "mean of the queries before rotation, [views, Hq, D]");
      visit("covariance", self.covariance, "query^2", "their covariance, [views, Hq, D, D]");
    }
    /// Ok, or the table that has the wrong size.
    [[nodiscard]] constexpr status check(call_shape const& call, bool use_covariance) const {
      auto const got = static_cast<double>(mean.size());
      double const least = static_cast<double>(call.views) * call.heads * call.head_dim;
      auto const rows = least > 0 ? mean.size() / static_cast<cs::size_t>(least) : 0;
      return range::all(range::at_least("score.mean", got, least),
                        range::entries("score.mean", got, static_cast<double>(rows) * least),
                        !use_covariance ? status{}
                                        : range::entries("score.covariance", static_cast<double>(covariance.size()),
                                                         got * call.head_dim));
    }
  };
};
}  // namespace statistics

namespace score {

/// With m and C the mean and covariance of the queries of a query head before rotation, and R the mean rotation over
/// the `future` positions from N on: z_t = <R m, k_t> / sqrt(D) + k_t^T R C R^T k_t / (2 D); score[t] = the mean over
/// the query heads of the softmax of z over the tokens. kvpress then weighs by the value's norm (weigh::value_norm).
/// The first `sink` tokens are forced and take no part, neither as keys nor as queries. N Hq D^2 3/2 multiply-adds.
/// A key that is not finite, or longer than 1.8e19, scores NaN and takes no part.
template <class Statistics = statistics::prompt>
struct expected_attention : policy_base<stages::score, needs::keys | Statistics::reads> {
  using pattern = patterns::per_head;  ///< how it walks the cache

  /// Its numbers.
  struct params {
    int sink = 4;                             ///< first tokens that always stay
    int future = 512;                         ///< positions to come that are averaged over
    bool use_covariance = true;               ///< false: the mean alone
    rope_params rope{};                       ///< the model's rotation
    typename Statistics::table statistics{};  ///< of the caller
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sink", self.sink, "tokens", "first tokens that always stay");
      visit("future", self.future, "tokens", "positions to come that are averaged over");
      visit("use_covariance", self.use_covariance, "", "the spread of the queries counts beside their mean");
      rope_params::each(self.rope, visit);
      Statistics::table::each(self.statistics, visit);
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check(call_shape const& call) const {
      return range::all(range::at_least("score.sink", sink, 0), range::within("score.future", future, 1, 1 << 24),
                        rope.check(call), statistics.check(call, use_covariance));
    }
  };

  /// How many queries, counted from the end, are observed.
  static constexpr int queries(params const& p, int tokens) { return tokens > p.sink ? tokens - p.sink : 1; }
  /// What stays whatever the scores.
  KVSIEVE_HD static constexpr forced_ends forced(params const& p, int) { return {p.sink, 0}; }
};
}  // namespace score
}  // namespace kvsieve::inline v0
