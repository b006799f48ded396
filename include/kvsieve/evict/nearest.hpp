// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Which kept token an evicted one merges into: a piece of evict::merge. Ties go to the smaller index; a row that is not
// finite is no one's nearest and has none.
#pragma once
#include <cuda/std/cmath>

#include <kvsieve/core/range.hpp>
#include <kvsieve/core/stages.hpp>

namespace kvsieve::inline v0 {
namespace nearest {

/// How the nearest one is found.
enum class way {
  product,   ///< largest of factor(e) factor(j) <k_e, k_j> + start(j) over the kept j
  position,  ///< least distance in tokens
  run        ///< the kept token of the run of alike neighbours
};

/// Largest cosine of the keys; a norm below 1e-6 counts as 1e-6. Similarity: the cosine.
struct cosine {
  using params = no_params;                         ///< none
  static constexpr way searched_by = way::product;  ///< how it is found
  static constexpr needs reads = needs::keys;       ///< what it reads
  /// What a row is multiplied with, from the sum of its squares.
  KVSIEVE_HD static float factor(float square) {
    float const norm = cs::sqrt(square);
    return 1.0f / (norm < 1e-6f ? 1e-6f : norm);
  }
  /// What is added for a kept row.
  KVSIEVE_HD static float start(float /*square*/) { return 0.0f; }
  /// The similarity, from the largest sum and the sum of squares of the evicted row.
  KVSIEVE_HD static float similarity(float best, float /*square*/) { return best; }
};

/// Largest product of the keys. Similarity: the product.
struct dot {
  using params = no_params;                         ///< none
  static constexpr way searched_by = way::product;  ///< how it is found
  static constexpr needs reads = needs::keys;       ///< what it reads
  /// As in cosine.
  KVSIEVE_HD static float factor(float /*square*/) { return 1.0f; }
  /// As in cosine.
  KVSIEVE_HD static float start(float /*square*/) { return 0.0f; }
  /// As in cosine.
  KVSIEVE_HD static float similarity(float best, float /*square*/) { return best; }
};

/// Least distance of the keys. Similarity: minus its square.
struct l2 {
  using params = no_params;                         ///< none
  static constexpr way searched_by = way::product;  ///< how it is found
  static constexpr needs reads = needs::keys;       ///< what it reads
  /// As in cosine.
  KVSIEVE_HD static float factor(float /*square*/) { return 1.0f; }
  /// As in cosine.
  KVSIEVE_HD static float start(float square) { return -0.5f * square; }
  /// As in cosine.
  KVSIEVE_HD static float similarity(float best, float square) { return 2.0f * best - square; }
};

/// Least distance in tokens. Similarity: minus the distance.
struct position {
  static constexpr way searched_by = way::position;  ///< how it is found
  static constexpr needs reads = needs::nothing;     ///< what it reads

  /// Its numbers.
  struct params {
    int sink = 4;    ///< first tokens that nothing merges into
    int recent = 1;  ///< last tokens that nothing merges into
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("sink", self.sink, "tokens", "first ones that nothing merges into");
      visit("recent", self.recent, "tokens", "last ones that nothing merges into");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::at_least("evict.sink", sink, 0), range::at_least("evict.recent", recent, 0));
    }
  };
};

/// The kept token of the run of neighbours that an evicted one belongs to, where each is linked to the next by a cosine
/// of their keys of at least `alike`; where a run leads to two kept tokens, the one of the lower score (of equal ones
/// the later), which select::runs's pivot is beside a protected token. With `exact`, linked are the pairs that
/// select::runs has linked to meet its budget: as many with the largest cosines as tokens were evicted, none with a
/// token that was forced or is of the share `heavy` of the highest scores of the others. Similarity: the cosine of the
/// last link.
struct in_run {
  static constexpr way searched_by = way::run;  ///< how it is found
  static constexpr needs reads = needs::keys;   ///< what it reads

  /// Its number.
  struct params {
    float alike = 0.75f;  ///< least cosine of linked neighbours
    bool exact = false;   ///< links as many as tokens were evicted, instead
    double heavy = 0.1;   ///< share of the tokens that is protected by score, where `exact`
    template <class Self, class Visit>
    static constexpr void each(Self& self, Visit&& visit) {
      visit("alike", self.alike, "cosine", "least one of linked neighbours; that of select::runs");
      visit("exact", self.exact, "", "links as many as tokens were evicted, as select::runs's");
      visit("heavy", self.heavy, "fraction", "of the tokens that is protected by score, as select::runs's");
    }
    /// Ok, or the number that is out of range.
    [[nodiscard]] constexpr status check() const {
      return range::all(range::within("evict.alike", static_cast<double>(alike), -1, 1),
                        range::within("evict.heavy", heavy, 0, 1));
    }
  };
};
}  // namespace nearest
}  // namespace kvsieve::inline v0
