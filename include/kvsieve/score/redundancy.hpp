// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Redundancy: tokens whose keys say what other keys say can go. Cai et al., "R-KV: Redundancy-aware KV Cache
// Compression for Reasoning Models", arXiv 2505.24133.
#pragma once
#include <kvsieve/core/range.hpp>
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>
#include <kvsieve/score/unit_rows.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] = -softmax over the tokens of r, r[t] = the mean over all tokens i of cos(k_i, k_t), where cos(k_t, k_t)
/// counts 0, and so does cos(k_i, k_t) when t is the last of the tokens other than i with cos(k_i, k_t) > threshold: of
/// what is alike the newest is no burden. The softmax makes it a share, to be blended with importance. The means come
/// from the sum of all unit keys, in two reads of the keys; the last similar token is looked for from the end, key by
/// key, which takes up to N^2 D multiply-adds and memory linear in N. Norms below 1e-8 count as that. A key that is not
/// finite, or longer than 1.8e19, takes no part and scores NaN.
struct redundancy : policy_base<stages::score, needs::keys>, unit_rows {
  using pattern = patterns::per_pair;  ///< how it walks the cache; the mean cosine follows from the mean unit key

  /// Its number.
  struct params {
    float threshold = 0.5f;  ///< cosine above which keys are alike; 1 or more: none is
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("threshold", self.threshold, "cosine", "above which keys are alike; 1 or more: none is");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const { return range::within("score.threshold", threshold, -1, 2); }
  };

  /// The row's factor in the summary; 0 leaves the row out.
  template <class S>
  KVSIEVE_HD static S share(S norm) {
    return one_over(norm, 1e-8f);
  }
  /// The mean cosine, the row's own among them.
  template <class S>
  KVSIEVE_HD static S score(S dot, S norm, float /*mean_norm*/) {
    return where(norm - norm == S(0.0f), dot / max(norm, S(1e-8f)), S(__builtin_nanf("")));
  }
  /// True when pairs have to be looked at.
  KVSIEVE_HD static constexpr bool looks_at_pairs(params const& p) { return p.threshold < 1.0f; }
  /// Whether two keys are alike.
  KVSIEVE_HD static constexpr bool alike(params const& p, float cosine) { return cosine > p.threshold; }
};
}  // namespace score
}  // namespace kvsieve::inline v0
