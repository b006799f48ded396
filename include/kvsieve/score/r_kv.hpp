// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// R-KV: what is looked at and said by no other key stays. Cai et al., "R-KV: Redundancy-aware KV Cache Compression for
// Reasoning Models", arXiv 2505.24133.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/score/attention.hpp>
#include <kvsieve/score/redundancy.hpp>
#include <kvsieve/score/two_scores.hpp>
#include <kvsieve/smooth/max.hpp>

namespace kvsieve::inline v0 {
namespace score {

namespace detail {
template <class Form>
using importance_half = compressor<attention<observe::window_or_front, Form>, smooth::max>;
using redundancy_half = compressor<redundancy>;
}  // namespace detail

/// score[t] = lambda * importance[t] - (1 - lambda) * r[t]: importance is the mean probability over the last queries
/// and the group, max-pooled; r is the redundancy, of which score::redundancy is the negative. Both are shares of about
/// 1 over the tokens. The window stays. NaN where either is.
/// @tparam Form     how the importance is normalised
/// @tparam SeesOwn  default of `first.score.sees_own`: whether the probabilities are over the window's tokens as well
template <class Form, bool SeesOwn>
struct r_kv_form : two_scores<detail::importance_half<Form>, detail::redundancy_half> {
  /// Its numbers.
  struct params {
    typename detail::importance_half<Form>::params first{.score = {.window = 8, .sees_own = SeesOwn},
                                                         .smooth = {.kernel = 7}};  ///< of the importance
    detail::redundancy_half::params second{};                                       ///< of the redundancy
    float lambda = 0.1f;                                                            ///< share of the importance
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      detail::each_of_half(self.first, "first", visit);
      detail::each_of_half(self.second, "second", visit);
      visit("lambda", self.lambda, "fraction", "of the score that is importance, the rest is redundancy");
    }
    /// Ok, or the number that is out of range; the halves' own are looked at by their scorers.
    [[nodiscard]] constexpr status check() const {
      return range::within("score.lambda", static_cast<double>(lambda), 0, 1);
    }
  };

  /// The score of a token from the two.
  template <class Params>
  KVSIEVE_HD static constexpr float joined(Params const& p, float first, float second) {
    return p.lambda * first + (1 - p.lambda) * second;
  }
};

/// Importance by probabilities of each query head, as SnapKV's.
using r_kv = r_kv_form<row_form::softmax, true>;
/// Importance as the authors' code has it: of the largest logits of a query group, over the tokens in front of the
/// window. On the host.
using r_kv_as_source = r_kv_form<row_form::softmax_of_largest, false>;
}  // namespace score
}  // namespace kvsieve::inline v0
