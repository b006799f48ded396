// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// KeyDiff: keys that point away from the mean direction stay. Park et al., "KeyDiff: Key Similarity-Based KV Cache
// Eviction for Long-Context LLM Inference in Resource-Constrained Environments", arXiv 2504.15364.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>
#include <kvsieve/score/unit_rows.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] = -cos(k_t, a), a = mean over all tokens of k / ||k||. Reads each key twice.
/// A key that is not finite, or longer than 1.8e19, takes no part in the mean and scores NaN; a zero key scores 0.
struct key_diff : policy_base<stages::score, needs::keys>, unit_rows {
  using pattern = patterns::per_row;  ///< how it walks the cache

  /// The row's factor in the summary; 0 leaves the row out.
  template <class S>
  KVSIEVE_HD static S share(S norm) {
    return one_over(norm, 1e-12f);
  }
  /// The score from a row's product with the mean, the row's norm and the norm of the summary.
  template <class S>
  KVSIEVE_HD static S score(S dot, S norm, float mean_norm) {
    S const cosine = dot / (max(norm, S(1e-8f)) * S(max(mean_norm, 1e-8f)));
    return where(norm - norm == S(0.0f), -cosine, S(__builtin_nanf("")));
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
