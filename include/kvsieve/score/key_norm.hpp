// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// Key norm: tokens whose keys are short stay. Devoto et al., "A Simple and Effective L2 Norm-Based Strategy for KV
// Cache Compression", arXiv 2406.11430.
#pragma once
#include <kvsieve/core/scalar.hpp>
#include <kvsieve/core/stages.hpp>
#include <kvsieve/score/pattern.hpp>

namespace kvsieve::inline v0 {
namespace score {

/// score[t] = -||k_t||. Reads each key once. Norms below 1e-19 count as 0 and norms above
/// 1.8e19 as infinite (their squares leave the range of float).
struct key_norm : policy_base<stages::score, needs::keys> {
  using pattern = patterns::per_row;         ///< how it walks the cache
  static constexpr bool summarises = false;  ///< one pass

  /// What a fragment of a key adds to its row's sum.
  template <class F>
  KVSIEVE_HD static F term(F key) {
    return key * key;
  }
  /// The score from that sum; S is a float, or a fragment with a row in each lane.
  template <class S>
  KVSIEVE_HD static S score(S squares) {
    return -sqrt(squares);
  }
};
}  // namespace score
}  // namespace kvsieve::inline v0
