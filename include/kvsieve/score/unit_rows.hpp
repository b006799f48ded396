// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// What scores share that hold a key against the mean of all unit keys: KeyDiff, redundancy.
#pragma once
#include <kvsieve/core/scalar.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// Pieces of a scorer of rows in two passes: the first keeps each row's norm and sums rows over their norms, the second
/// multiplies each row with what became of the sum. The scorer says what a norm contributes (`share`) and what follows
/// from the product (`score`).
struct unit_rows {
  static constexpr bool summarises = true;  ///< a first pass makes the mean

  /// First pass: what a fragment adds to its row's sum ...
  template <class F>
  KVSIEVE_HD static F weigh_term(F key) {
    return key * key;
  }
  /// ... and the number kept for the row, its norm.
  template <class S>
  KVSIEVE_HD static S weigh(S squares) {
    return sqrt(squares);
  }
  /// Second pass: what a fragment adds to its row's sum, `mean` being the summary's fragment.
  template <class F>
  KVSIEVE_HD static F term(F key, F mean) {
    return key * mean;
  }
  /// The row's factor in the summary, its norm counting `least` at least; 0 leaves a row out that is not finite.
  template <class S>
  KVSIEVE_HD static S one_over(S norm, float least) {
    return where(norm - norm == S(0.0f), S(1.0f) / max(norm, S(least)), S(0.0f));
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
