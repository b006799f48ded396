// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// How much an evicted token counts in the kept one that it merges into: a piece of evict::merge. A merged row is (own *
// its row + sum of source * their rows) / divisor.
#pragma once
#include <cuda/std/cmath>

#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace merge_weight {

/// An evicted token and its target.
struct pair {
  float similarity = 0;     ///< as the search has it
  float score = 0;          ///< of the evicted token, 0 where it has none above 0
  float norm = 0;           ///< of the evicted value
  float norm_own = 0;       ///< of the kept value
  float distance = 0;       ///< square of the distance of the keys
  float mean_distance = 0;  ///< its mean over all tokens of the target, with the target's own 0
  int sources = 0;          ///< evicted tokens of the target
};
/// What an evicted token adds to its own factor, to the factor of its target and to the divisor.
struct contribution {
  float source = 0;   ///< to its own factor
  float own = 0;      ///< to that of its target
  float divisor = 0;  ///< to the divisor
};

/// What weights have in common: a kept row begins with 1, nothing but similarities is read.
struct plain {
  using params = no_params;                     ///< none
  static constexpr bool scores = false;         ///< reads scores
  static constexpr bool value_norms = false;    ///< reads norms of values
  static constexpr bool key_distances = false;  ///< reads distances of keys
  static constexpr bool biased = false;         ///< published with an attention bias for each entry
};

/// Each token counts alike: the mean with the kept row (Elastic Cache; LOOK-M's averaged form).
struct count : plain {
  /// Of one token.
  KVSIEVE_HD static contribution of(params const&, pair const&) { return {1, 0, 1}; }
};

/// Each token is first averaged with its target, then these with the target (LOOK-M's pivot form).
struct half : plain {
  /// Of one token.
  KVSIEVE_HD static contribution of(params const&, pair const&) { return {0.5f, 0.5f, 1}; }
};

/// The similarity, divided by the number of tokens: the sum is at most 1 (D2O).
struct similarity : plain {
  /// Of one token.
  KVSIEVE_HD static contribution of(params const&, pair const& x) { return {x.similarity, 0, 1}; }
};

/// (cosine + 1) / 2, at least 1e-6 (LOOK-M's weighted form).
struct shifted_cosine : plain {
  /// Of one token.
  KVSIEVE_HD static contribution of(params const&, pair const& x) {
    float const w = (x.similarity + 1) / 2, least = w < 1e-6f ? 1e-6f : w;
    return {least, 0, least};
  }
};

/// max(similarity, 0) times the share of the evicted value in the norms of both (merging_press of kvpress).
struct value_norm_ratio : plain {
  static constexpr bool value_norms = true;  ///< reads norms of values
  /// Of one token.
  KVSIEVE_HD static contribution of(params const&, pair const& x) {
    float const w = (x.similarity > 0 ? x.similarity : 0) * x.norm / (x.norm + x.norm_own + 1e-6f);
    return {w, 0, w};
  }
};

/// exp(-d / (2 sigma^2)) with d the squared distance of the keys (KVMerger).
struct gaussian : plain {
  static constexpr bool key_distances = true;  ///< reads distances of keys
  /// Its numbers.
  struct params {
    float sigma = 0.0f;    ///< of the kernel; 0: sigma^2 is the mean of d over the target's tokens
    bool with_own = true;  ///< that mean counts the target itself, with 0
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sigma", self.sigma, "", "of the kernel; 0: from the mean squared distance of the tokens of a target");
      visit("with_own", self.with_own, "", "that mean counts the target itself");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::at_least("evict.sigma", static_cast<double>(sigma), 0);
    }
  };
  /// Of one token.
  KVSIEVE_HD static contribution of(params const& p, pair const& x) {
    float const n = static_cast<float>(x.sources);
    float const square = p.sigma > 0 ? p.sigma * p.sigma : p.with_own ? x.mean_distance : x.mean_distance * (n + 1) / n;
    float const w = cs::exp(-x.distance / (2 * square + 1e-8f));
    return {w, 0, w};
  }
};

/// The scores of both: V' = sum(s v) / sum(s). Scores that are not above 0 have no weight; of a forced token, which has
/// none, the largest finite score of its head is taken.
struct score : plain {
  static constexpr bool scores = true;  ///< reads scores
  static constexpr bool biased = true;  ///< its entries want their bias
  /// Of one token.
  KVSIEVE_HD static contribution of(params const&, pair const& x) { return {x.score, 0, x.score}; }
};
}  // namespace merge_weight
}  // namespace kvsieve::inline v0
