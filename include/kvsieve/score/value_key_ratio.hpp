// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Value-key ratio: tokens whose values are long for the length of their keys stay. Chitty-Venkata et al.,
// "PagedEviction: Structured Block-wise KV Cache Pruning for Efficient Large Language Model Inference", arXiv
// 2509.04377.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] = ||v_t|| / max(||k_t||, 1e-6). Reads each key and value once. A token whose key or value is not finite, or
/// longer than 1.8e19, scores NaN.
struct value_key_ratio : policy_base<stages::score, needs::keys | needs::values> {
  using pattern = patterns::per_row;         ///< how it walks the cache
  static constexpr bool summarises = false;  ///< one pass

  /// What a fragment of a key adds to its row's sum ...
  template <class F>
  KVSIEVE_HD static F term(F key) {
    return key * key;
  }
  /// ... and one of a value to its own.
  template <class F>
  KVSIEVE_HD static F value_term(F value) {
    return value * value;
  }
  /// The score from both sums; S is a float, or a fragment with a row in each lane.
  template <class S>
  KVSIEVE_HD static S score(S of_key, S of_value) {
    S const both = of_key + of_value, ratio = sqrt(of_value) / max(sqrt(of_key), S(1e-6f));
    return where(both - both == S(0.0f), ratio, S(__builtin_nanf("")));
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
