// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Value norm: tokens whose values are long stay. One of the scores that the released code of PagedEviction (arXiv
// 2509.04377) offers beside the paper's.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] = ||v_t||. Reads each value once. A value that is not finite, or longer than 1.8e19, scores NaN.
struct value_norm : policy_base<stages::score, needs::values> {
  using pattern = patterns::per_row;         ///< how it walks the cache
  static constexpr bool summarises = false;  ///< one pass

  /// What a fragment of a value adds to its row's sum.
  template <class F>
  KVSIEVE_HD static F value_term(F value) {
    return value * value;
  }
  /// The score from that sum; S is a float, or a fragment with a row in each lane.
  template <class S>
  KVSIEVE_HD static S score(S squares) {
    return where(squares - squares == S(0.0f), sqrt(squares), S(__builtin_nanf("")));
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
